#include "jobs/file_copy.hpp"

#include "comm/rank_state.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/signals.hpp"
#include "text/posix_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_copying(const FileCopy& copy, int problem) {
    fail(ExitCode::File, "cannot copy {} to {}: {}", copy.from.string(), copy.to.string(),
         std::strerror(problem));
}

void require_no_stop(const FileCopy& copy) {
    const int signal = stop_signal();
    require(signal == 0, ExitCode::Stopped,
            "stopped while {} was copied to {}, because signal {} came: run the same command again",
            copy.from.string(), copy.to.string(), signal);
}

// Some bytes from `at` on; 0 at the source's end.
std::size_t copy_piece(const FileCopy& copy, const PosixFile& from, const PosixFile& to, std::uint64_t at,
                       std::vector<char>& buffer) {
    constexpr std::size_t kPiece = 64 << 20, kBuffer = 4 << 20;
    if (buffer.empty()) {
        auto in = static_cast<off_t>(at), out = in;
        const ssize_t count = ::copy_file_range(from.fd(), &in, to.fd(), &out, kPiece, 0);
        if (count >= 0) return static_cast<std::size_t>(count);
        const std::array no_such_call{EXDEV, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, EINTR};
        if (std::ranges::find(no_such_call, errno) == no_such_call.end()) fail_copying(copy, errno);
        buffer.resize(kBuffer);
    }
    const ssize_t got = ::pread(from.fd(), buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (got < 0) fail_copying(copy, errno);
    for (ssize_t put = 0; put < got;) {
        const ssize_t count = ::pwrite(to.fd(), buffer.data() + put, static_cast<std::size_t>(got - put),
                                       static_cast<off_t>(at) + put);
        if (count < 0 && errno != EINTR) fail_copying(copy, errno);
        put += std::max<ssize_t>(count, 0);
    }
    return static_cast<std::size_t>(got);
}

// For another job's copy. It is progress while that job writes; when it hangs, the heartbeat is to find out.
class Wait {
public:
    explicit Wait(const FileCopy& copy) : copy_(copy) {}

    // `file` is what the other job writes to.
    void pause(const PosixFile& file) {
        require_no_stop(copy_);
        if (!said_ && Clock::now() - start_ >= std::chrono::seconds(2)) {
            log_info("waiting for another job's copy of {} to {}", copy_.from.string(), copy_.to.string());
            said_ = true;
        }
        struct stat now {};
        const bool known = ::fstat(file.fd(), &now) == 0;
        const std::pair written(now.st_mtim.tv_sec, now.st_mtim.tv_nsec);
        if (known && std::exchange(written_, written) != written) note_progress();
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }

private:
    using Clock = std::chrono::steady_clock;

    const FileCopy& copy_;
    const Clock::time_point start_ = Clock::now();
    bool said_ = false;
    std::pair<std::time_t, long> written_;
};

// The new file, locked against other jobs: a rank that dies gives the lock back. Whoever has it next writes
// from the beginning, for after a crash nobody knows how much of the content is there.
class PartialFile {
public:
    // Waits for whoever copies the same file.
    explicit PartialFile(const FileCopy& copy) : path_(copy.partial()) {
        Wait wait(copy);
        while (!is_ours()) {
            file_ = PosixFile(::open(path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644));
            if (!file_.is_open()) fail_copying(copy, errno);
            while (::flock(file_.fd(), LOCK_EX | LOCK_NB) != 0) {
                require(errno == EWOULDBLOCK || errno == EINTR, ExitCode::File,
                        "{} cannot be locked ({}): --stage-dir wants a disk of the machine's own",
                        path_.string(), std::strerror(errno));
                wait.pause(file_);
            }
        }
    }
    PartialFile(const PartialFile&) = delete;
    PartialFile& operator=(const PartialFile&) = delete;
    // An error gives the room back; a stop keeps it for the next run.
    ~PartialFile() {
        std::error_code none;
        if (stop_signal() == 0 && is_ours()) fs::remove(path_, none);
    }

    int fd() const { return file_.fd(); }
    const PosixFile& file() const { return file_; }

private:
    // Whether the open file still has this name: the one before us may have given it its own.
    bool is_ours() const {
        struct stat open {
        }, named{};
        return file_.is_open() && ::fstat(file_.fd(), &open) == 0 && ::stat(path_.c_str(), &named) == 0 &&
               open.st_ino == named.st_ino && open.st_dev == named.st_dev;
    }

    fs::path path_;
    PosixFile file_;
};

}  // namespace

bool FileCopy::is_there() const {
    std::error_code none;
    return fs::file_size(to, none) == bytes && !none;
}

std::uint64_t FileCopy::missing() const {
    struct stat part {};  // looked at first: it may get its name at any time
    const bool begun = ::stat(partial().c_str(), &part) == 0;
    if (is_there()) return 0;
    constexpr std::uint64_t kStatBlock = 512;
    return bytes - std::min(bytes, begun ? kStatBlock * static_cast<std::uint64_t>(part.st_blocks) : 0);
}

void make(const FileCopy& copy) {
    const PartialFile part(copy);
    if (copy.is_there()) return;  // another job's, while this one waited
    const PosixFile from = open_to_read(copy.from);
    std::vector<char> buffer;
    for (std::uint64_t done = 0; done < copy.bytes; note_progress()) {
        require_no_stop(copy);
        const std::size_t count = copy_piece(copy, from, part.file(), done, buffer);
        require(count > 0, ExitCode::File, "{} became shorter while it was copied", copy.from.string());
        // Writing begins now, so that fdatasync has little left to wait for. Its failure costs only time.
        ::sync_file_range(part.fd(), static_cast<off_t>(done), static_cast<off_t>(count),
                          SYNC_FILE_RANGE_WRITE);
        done += count;
    }
    // Nothing but its size is looked at later on: what has the name must have the content.
    if (::ftruncate(part.fd(), static_cast<off_t>(copy.bytes)) != 0 || ::fdatasync(part.fd()) != 0 ||
        ::rename(copy.partial().c_str(), copy.to.c_str()) != 0)
        fail_copying(copy, errno);
}

}  // namespace sluice
