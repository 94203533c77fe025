#include "text/posix_file.hpp"

#include "core/error.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice {

PosixFile& PosixFile::operator=(PosixFile&& other) noexcept {
    if (this != &other) {
        close();
        fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
}

int PosixFile::close() {
    if (fd_ < 0) return 0;
    // Not repeated on EINTR: Linux has released the descriptor by then.
    return ::close(std::exchange(fd_, -1)) == 0 || errno == EINTR ? 0 : errno;
}

PosixFile open_file(const std::filesystem::path& path, int flags) {
    int fd = -1;
    do {
        fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
    } while (fd < 0 && errno == EINTR);
    return PosixFile(fd);
}

PosixFile open_to_read(const std::filesystem::path& path) {
    PosixFile file = open_file(path, O_RDONLY);
    require(file.is_open(), ExitCode::File, "cannot read {}: {}", path.string(), std::strerror(errno));
    struct stat status {};
    const bool known = ::fstat(file.fd(), &status) == 0;
    require(known, ExitCode::File, "cannot read {}: {}", path.string(), std::strerror(errno));
    require(!S_ISDIR(status.st_mode), ExitCode::File, "cannot read {}: it is a folder", path.string());
    return file;
}

int write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {  // a pipe or terminal that somebody made non-blocking
            pollfd ready{fd, POLLOUT, 0};
            ::poll(&ready, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

}  // namespace sluice
