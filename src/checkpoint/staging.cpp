#include "checkpoint/staging.hpp"

#include "checkpoint/source.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/units.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

bool is_running(std::string_view pid_text) {
    pid_t pid = 0;
    const auto [rest, problem] = std::from_chars(pid_text.data(), pid_text.data() + pid_text.size(), pid);
    if (problem != std::errc{} || rest != pid_text.data() + pid_text.size() || pid <= 0) return false;
    return pid != ::getpid() && (::kill(pid, 0) == 0 || errno == EPERM);
}

void sync(const fs::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const bool ok = fd >= 0 && ::fsync(fd) == 0;
    const int problem = errno;
    if (fd >= 0) ::close(fd);
    require(ok, ExitCode::File, "cannot make {} durable: {}", path.string(), std::strerror(problem));
}

}  // namespace

StagedFolder::StagedFolder(const fs::path& target) : target_(full_path(target)) {
    require(!fs::exists(fs::symlink_status(target_)), ExitCode::File,
            "{} exists already: remove it, or choose another name", target_.string());
    require(fs::is_directory(target_.parent_path()), ExitCode::File, "{}: no such folder to write to",
            target_.parent_path().string());
    clear_leftovers();
    partial_ = target_;
    partial_ += fmt::format(".partial-{}-{}", host_name(), ::getpid());
    std::error_code problem;
    fs::create_directory(partial_, problem);
    require(!problem, ExitCode::File, "cannot create {}: {}", partial_.string(), problem.message());
}

StagedFolder::~StagedFolder() {
    std::error_code ignored;
    if (!committed_) fs::remove_all(partial_, ignored);
}

void StagedFolder::clear_leftovers() const {
    const std::string start = target_.filename().string() + ".partial-";
    for (const auto& entry : fs::directory_iterator(target_.parent_path())) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(start)) continue;
        const std::string_view writer = std::string_view(name).substr(start.size());
        const std::size_t dash = writer.rfind('-');
        if (dash == writer.npos || writer.substr(0, dash) != host_name()) {
            log_warning(
                "{} is left alone: it belongs to a run on another host; remove it if that run is dead",
                entry.path().string());
            continue;
        }
        require(!is_running(writer.substr(dash + 1)), ExitCode::File,
                "{} is being written by process {}: wait for it, or stop it first", target_.string(),
                writer.substr(dash + 1));
        log_warning("removing {}, which an unfinished run left behind", entry.path().string());
        fs::remove_all(entry.path());
    }
}

void StagedFolder::require_space(std::uint64_t bytes) const {
    const auto space = fs::space(partial_);
    require(space.available >= bytes, ExitCode::File,
            "{}: {} needed, {} free: free some space or write elsewhere", target_.parent_path().string(),
            bytes_text(bytes), bytes_text(space.available));
}

void StagedFolder::commit() {
    for (const auto& entry : fs::directory_iterator(partial_)) sync(entry.path());
    sync(partial_);
    require(!fs::exists(fs::symlink_status(target_)), ExitCode::File,
            "{} appeared while it was being written; it is left as it is", target_.string());
    std::error_code problem;
    fs::rename(partial_, target_, problem);
    require(!problem, ExitCode::File, "cannot rename {} to {}: {}", partial_.string(), target_.string(),
            problem.message());
    committed_ = true;
    sync(target_.parent_path());
}

}  // namespace sluice
