#include "text/completion_file.hpp"

#include "core/error.hpp"
#include "core/log.hpp"
#include "text/request_json.hpp"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

namespace sluice {
namespace {

std::string_view name_of(FinishReason reason) {
    switch (reason) {
        case FinishReason::Stop: return "stop";
        case FinishReason::Length: return "length";
        case FinishReason::Error: return "error";
    }
    return "";
}

std::int64_t size_of_file(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? status.st_size : 0;
}

}  // namespace

Completion error_record(const FailedRequest& failed) {
    Completion completion;
    completion.id = failed.id;
    completion.id_json = failed.id_json;
    completion.finish_reason = FinishReason::Error;
    completion.error = failed.error;
    completion.meta_json = failed.meta_json;
    completion.ordinal = failed.ordinal;
    completion.api = failed.api;
    completion.api_model = failed.api_model;
    return completion;
}

Completion error_record(const Request& request, RequestError error) {
    Completion completion = error_record(failed_request(request, std::move(error)));
    completion.index = request.index;
    completion.n = request.sampling.n;
    return completion;
}

std::string to_json_line(const Completion& completion) {
    std::string line;
    const auto out = std::back_inserter(line);
    fmt::format_to(
        out, R"({{"id":{},"completion":{},"finish_reason":"{}","prompt_tokens":{},"completion_tokens":{})",
        completion.id_json, to_json_string(completion.text), name_of(completion.finish_reason),
        completion.prompt_tokens, completion.completion_tokens);
    if (completion.tokens) fmt::format_to(out, R"(,"tokens":[{}])", fmt::join(*completion.tokens, ","));
    if (!completion.logprobs_json.empty()) fmt::format_to(out, R"(,"logprobs":{})", completion.logprobs_json);
    if (completion.error) fmt::format_to(out, R"(,"error":{})", to_json(*completion.error));
    if (!completion.meta_json.empty()) fmt::format_to(out, R"(,"meta":{})", completion.meta_json);
    return line + "}";
}

CompletionFile::CompletionFile(std::filesystem::path path, OutputMode mode)
    : path_(std::move(path)), mode_(mode) {
    if (path_ == "-") {
        file_ = PosixFile(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
        require(file_.is_open(), ExitCode::File, "cannot write to standard output: {}", std::strerror(errno));
        path_ = "standard output";
    } else {
        open(mode);
    }
    require(regular_ || mode == OutputMode::Fresh, ExitCode::Usage,
            "{} is not a file: --resume and --overwrite need one", path_.string());
}

void CompletionFile::open(OutputMode mode) {
    file_ = open_file(path_, O_WRONLY | O_APPEND | O_CREAT | O_EXCL);
    created_ = file_.is_open();
    if (!created_ && errno == EEXIST) file_ = open_file(path_, O_WRONLY | O_APPEND);
    require(file_.is_open(), ExitCode::File, "cannot write {}: {}", path_.string(), std::strerror(errno));
    struct stat status {};
    regular_ = ::fstat(file_.fd(), &status) == 0 && S_ISREG(status.st_mode);
    if (!regular_) return;
    require(created_ || mode != OutputMode::Fresh, ExitCode::Usage,
            "the output {} exists: give --resume to complete it, or --overwrite to start again",
            path_.string());
    lock();
}

void CompletionFile::lock() {
    if (::flock(file_.fd(), LOCK_EX | LOCK_NB) == 0) return;
    require(errno != EWOULDBLOCK, ExitCode::File,
            "{} is being written by another run: wait for it, or stop it", path_.string());
    log_warning("{} cannot be locked ({}): make sure that no other run writes it", path_.string(),
                std::strerror(errno));
}

CompletionFile::~CompletionFile() {
    if (created_ && !begun_) ::unlink(path_.c_str());
}

Finished CompletionFile::begin(const RunRecord& record) {
    expect(!begun_, "CompletionFile::begin called twice");
    Finished finished;
    if (mode_ == OutputMode::Resume && size_of_file(file_.fd()) > 0) {
        require_same_run(path_, record);
        finished = scan_completions(path_);
    } else if (regular_) {
        // Emptied before the record changes: no record ever stands beside lines that it does not describe.
        if (::ftruncate(file_.fd(), 0) != 0) fail_writing(errno);
        write_run_record(path_, record);
    }
    size_ = size_of_file(file_.fd());
    begun_ = true;
    return finished;
}

void CompletionFile::write(const Completion& completion) { write_line(to_json_line(completion)); }

void CompletionFile::write(const Score& score) { write_line(to_json_line(score)); }

void CompletionFile::write_line(std::string line) {
    expect(begun_ && file_.is_open(), "CompletionFile::write without begin, or after close or a failure");
    line += '\n';
    if (const int problem = write_all(file_.fd(), line)) fail_writing(problem);
    size_ += static_cast<std::int64_t>(line.size());
}

void CompletionFile::close() {
    if (regular_ && file_.is_open() && ::fsync(file_.fd()) != 0) fail_writing(errno);
    if (const int problem = file_.close()) fail_writing(problem);
}

void CompletionFile::fail_writing(int problem) {
    // Best effort: resuming cuts what may remain of the line.
    const bool whole = regular_ && file_.is_open() && ::ftruncate(file_.fd(), size_) == 0;
    file_.close();
    fail(ExitCode::File, "cannot write {}: {}.{}", path_.string(), std::strerror(problem),
         !regular_ ? ""
         : whole ? " Every line in it is whole: when there is room, the same command with --resume continues"
                 : " When there is room, the same command with --resume continues");
}

}  // namespace sluice
