// Files by descriptor: for what streams cannot tell us (partial writes, locks, truncation, the reason of a
// failure).
#pragma once

#include <filesystem>
#include <string_view>
#include <utility>

namespace sluice {

// Owns a descriptor, or none (-1).
class PosixFile {
public:
    explicit PosixFile(int fd = -1) : fd_(fd) {}
    PosixFile(PosixFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    PosixFile& operator=(PosixFile&& other) noexcept;
    ~PosixFile() { close(); }

    int fd() const { return fd_; }
    bool is_open() const { return fd_ >= 0; }
    int close();  // 0 or the errno of the failure; closing nothing is no failure

private:
    int fd_;
};

// open(2) with O_CLOEXEC, repeated when a signal interrupts it. On failure the file is not open and errno
// says why.
PosixFile open_file(const std::filesystem::path& path, int flags);

// Opens for reading. Errors: ExitCode::File when it does not exist, cannot be read or is a folder.
PosixFile open_to_read(const std::filesystem::path& path);

// Writes all of `bytes`, however many write(2) calls that takes; 0 or the errno of the failure.
int write_all(int fd, std::string_view bytes);

}  // namespace sluice
