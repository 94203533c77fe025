#include "checkpoint/staging.hpp"

#include "checkpoint/full_path.hpp"
#include "checkpoint/output_file.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/units.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLock = "lock";

void require_ours(const fs::path& root) {
    const bool ours = fs::is_directory(root) && (fs::exists(root / kLock) || fs::is_empty(root));
    require(ours, ExitCode::File, "{} is in the way, and no unfinished run's: remove or rename it",
            root.string());
}

void give_name(const fs::path& from, const fs::path& to) {
    std::error_code problem;
    fs::rename(from, to, problem);
    require(!problem, ExitCode::File, "cannot rename {} to {}: {}", from.string(), to.string(),
            problem.message());
}

// On the disk: files may have their sizes before their values.
std::uint64_t allocated_bytes(const fs::path& folder) {
    std::uint64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(folder)) {
        struct stat status {};
        if (::stat(entry.path().c_str(), &status) == 0)
            bytes += 512 * static_cast<std::uint64_t>(status.st_blocks);
    }
    return bytes;
}

}  // namespace

StagingPaths staging_paths(const fs::path& target) {
    StagingPaths paths;
    paths.root = full_path(target);
    paths.root += ".partial";
    paths.files = paths.root / "files";
    return paths;
}

// Makes the folder, too, and holds its lock.
class StagedFolder::Lock {
public:
    Lock(const fs::path& root, const fs::path& target) : path_(root / kLock) {
        while (!take(root, target)) {
        }
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }

private:
    // False when another process removed the folder meanwhile.
    bool take(const fs::path& root, const fs::path& target) {
        if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
        std::error_code problem;
        fs::create_directory(root, problem);
        require(!problem || fs::exists(root), ExitCode::File, "cannot create {}: {}", root.string(),
                problem.message());
        require_ours(root);
        descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (descriptor_ < 0 && errno == ENOENT) return false;
        require(descriptor_ >= 0, ExitCode::File, "cannot open {}: {}", path_.string(), std::strerror(errno));
        if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
            require(errno != EWOULDBLOCK, ExitCode::File,
                    "{} is being written by another process: wait for it, or stop it first", target.string());
            log_warning("{} cannot be locked: {}; see to it that no other process writes {}", path_.string(),
                        std::strerror(errno), target.string());
        }
        struct stat held {};
        struct stat named {};
        return ::fstat(descriptor_, &held) == 0 && ::stat(path_.c_str(), &named) == 0 &&
               held.st_ino == named.st_ino && held.st_dev == named.st_dev;
    }

    fs::path path_;
    int descriptor_ = -1;
};

StagedFolder::StagedFolder(const fs::path& target, Leftover leftover)
    : target_(full_path(target)), paths_(staging_paths(target)), leftover_(leftover) {
    if (fs::exists(fs::symlink_status(target_))) {
        remove_notes();
        fail(ExitCode::File, "{} exists already: remove it, or choose another name", target_.string());
    }
    require(fs::is_directory(target_.parent_path()), ExitCode::File, "{}: no such folder to write to",
            target_.parent_path().string());
    lock_ = std::make_unique<Lock>(paths_.root, target_);
    const bool found = fs::exists(paths_.files);
    continued_ = found && leftover == Leftover::Continue;
    if (continued_) return;
    if (found) log_warning("removing {}, which an unfinished run left behind", paths_.root.string());
    clear();
    make_files();
}

StagedFolder::~StagedFolder() {
    if (lock_ == nullptr || leftover_ == Leftover::Continue) return;
    try {
        clear();
        fs::remove(paths_.root / kLock);
        lock_.reset();  // a network's file system keeps an open file's entry
        fs::remove(paths_.root);
    } catch (const std::exception& error) {
        log_warning("cannot remove {}: {}", paths_.root.string(), error.what());
    }
}

// Of everything but the lock. The files lose their name first: what is half removed is nothing to go on from.
void StagedFolder::clear() const try {
    const fs::path removed = paths_.root / "removed";
    fs::remove_all(removed);
    if (fs::exists(paths_.files)) give_name(paths_.files, removed);
    for (const auto& entry : fs::directory_iterator(paths_.root))
        if (entry.path().filename() != kLock) fs::remove_all(entry.path());
} catch (const fs::filesystem_error& error) {
    fail(ExitCode::File, "cannot remove {}: {}", error.path1().string(), error.code().message());
}

// Of a run that was killed after its commit.
void StagedFolder::remove_notes() {
    if (!fs::exists(paths_.root / kLock) || fs::exists(paths_.files)) return;
    const Lock lock(paths_.root, target_);
    std::error_code ignored;
    fs::remove_all(paths_.root, ignored);
}

void StagedFolder::make_files() const {
    std::error_code problem;
    fs::create_directory(paths_.files, problem);
    require(!problem, ExitCode::File, "cannot create {}: {}", paths_.files.string(), problem.message());
}

void StagedFolder::start_over() {
    clear();
    make_files();
    continued_ = false;
}

void StagedFolder::require_space(std::uint64_t bytes) const {
    const std::uint64_t more = bytes - std::min(bytes, allocated_bytes(paths_.files));
    const auto space = fs::space(paths_.root);
    require(space.available >= more, ExitCode::File,
            "{}: {} needed, {} free: free some space or write elsewhere", target_.parent_path().string(),
            bytes_text(more), bytes_text(space.available));
}

void StagedFolder::commit() {
    for (const auto& entry : fs::directory_iterator(paths_.files)) sync_path(entry.path());
    sync_path(paths_.files);
    require(!fs::exists(fs::symlink_status(target_)), ExitCode::File,
            "{} appeared while it was being written; it is left as it is", target_.string());
    give_name(paths_.files, target_);
    sync_path(target_.parent_path());
    discard();  // the notes
}

}  // namespace sluice
