#include "text/completion_file.hpp"

#include "core/error.hpp"
#include "core/log.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

std::int64_t size_of_file(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? status.st_size : 0;
}

}  // namespace

CompletionFile::CompletionFile(OutputOptions options) : options_(std::move(options)) {
    std::filesystem::path& path = options_.path;
    if (path == "-") {
        file_ = PosixFile(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
        require(file_.is_open(), ExitCode::File, "cannot write to standard output: {}", std::strerror(errno));
        path = "standard output";
    } else {
        open();
    }
    require(regular_ || options_.mode == OutputMode::Fresh, ExitCode::Usage,
            "{} is not a file: --resume and --overwrite need one", path.string());
}

void CompletionFile::open() {
    const std::filesystem::path& path = options_.path;
    file_ = open_file(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL);
    created_ = file_.is_open();
    if (!created_ && errno == EEXIST) file_ = open_file(path, O_WRONLY | O_APPEND);
    require(file_.is_open(), ExitCode::File, "cannot write {}: {}", path.string(), std::strerror(errno));
    struct stat status {};
    regular_ = ::fstat(file_.fd(), &status) == 0 && S_ISREG(status.st_mode);
    if (!regular_) return;
    require(created_ || options_.mode != OutputMode::Fresh, ExitCode::Usage,
            "the output {} exists: give --resume to complete it, or --overwrite to start again",
            path.string());
    lock();
}

void CompletionFile::lock() {
    if (::flock(file_.fd(), LOCK_EX | LOCK_NB) == 0) return;
    require(errno != EWOULDBLOCK, ExitCode::File,
            "{} is being written by another run: wait for it, or stop it", options_.path.string());
    log_warning("{} cannot be locked ({}): make sure that no other run writes it", options_.path.string(),
                std::strerror(errno));
}

CompletionFile::~CompletionFile() {
    if (created_ && !begun_) ::unlink(options_.path.c_str());
}

bool CompletionFile::resumes() const {
    return options_.mode == OutputMode::Resume &&
           (size_of_file(file_.fd()) > 0 || std::filesystem::exists(partial_path(options_.path)));
}

void CompletionFile::check(const RunRecord& record) const {
    if (resumes()) require_same_run(options_.path, record);
}

Finished CompletionFile::begin(const RunRecord& record) {
    expect(!begun_, "CompletionFile::begin called twice");
    const std::filesystem::path& path = options_.path;
    Finished finished;
    if (resumes()) {
        check(record);
        finished = scan_completions(path, options_.format);
        partials_ = PartialAnswers::load(path);
        marked_ = finished_lines(read_run_record(path)) == finished.lines();
    } else if (regular_) {
        // Empty on the disk before the record changes: no record ever stands beside lines that it does not
        // describe.
        partials_.save(path);
        if (::ftruncate(file_.fd(), 0) != 0 || ::fsync(file_.fd()) != 0) fail_writing(errno);
        write_run_record(path, record);  // syncs the folder, which is the output's as well
    }
    size_ = size_of_file(file_.fd());
    lines_ = finished.lines();
    if (regular_ && options_.sync_seconds > 0)
        sync_ = std::make_unique<OutputSync>(
            file_.fd(), std::chrono::milliseconds(std::max(1LL, std::llround(options_.sync_seconds * 1000))));
    begun_ = true;
    return finished;
}

void CompletionFile::write(std::string line) {
    expect(begun_ && file_.is_open(), "CompletionFile::write without begin, or after close or a failure");
    if (marked_) {
        mark_unfinished(options_.path);
        marked_ = false;
    }
    line += '\n';
    if (const int problem = write_all(file_.fd(), line)) fail_writing(problem);
    size_ += static_cast<std::int64_t>(line.size());
    ++lines_;
    if (regular_) sync();
}

void CompletionFile::sync() {
    if (sync_) {
        if (const int problem = sync_->wrote()) fail_syncing(problem);
    } else if (::fdatasync(file_.fd()) != 0) {
        fail_syncing(errno);
    }
}

void CompletionFile::close_file() {
    // First of all: what a sync has been told of, the next one is not.
    const int problem = sync_ ? sync_->stop() : 0;
    sync_.reset();
    if (problem != 0) fail_syncing(problem);
    if (regular_ && file_.is_open() && ::fsync(file_.fd()) != 0) fail_syncing(errno);
    if (const int failure = file_.close()) fail_syncing(failure);
}

void CompletionFile::close() {
    close_file();
    if (!regular_) return;
    try {
        partials_.save(options_.path);
    } catch (const Error& problem) {
        log_warning("{}. The half-written answers will be computed again", problem.what());
    }
}

void CompletionFile::finish() {
    close_file();
    if (!regular_) return;
    PartialAnswers().save(options_.path);
    if (!marked_) mark_finished(options_.path, lines_);
    marked_ = true;
}

void CompletionFile::fail_writing(int problem) {
    // Best effort: resuming cuts what may remain of the line.
    const bool whole = regular_ && file_.is_open() && ::ftruncate(file_.fd(), size_) == 0;
    sync_.reset();
    file_.close();
    fail(ExitCode::File, "cannot write {}: {}.{}", options_.path.string(), std::strerror(problem),
         !regular_ ? ""
         : whole ? " Every line in it is whole: when there is room, the same command with --resume continues"
                 : " When there is room, the same command with --resume continues");
}

// What failed may be any line since the last sync.
void CompletionFile::fail_syncing(int problem) {
    sync_.reset();
    file_.close();
    fail(ExitCode::File,
         "cannot write {} to its disk: {}. Its last lines may be lost: when the disk is well, the same "
         "command "
         "with --resume continues with what is there",
         options_.path.string(), std::strerror(problem));
}

}  // namespace sluice
