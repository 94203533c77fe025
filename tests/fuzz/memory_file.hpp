// An input as a file that parsers can open by its path, in memory only.
#pragma once

#include "fuzz.hpp"

#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace sluice::fuzz {

class MemoryFile {
public:
    explicit MemoryFile(std::string_view content) : fd_(::memfd_create("input", MFD_CLOEXEC)) {
        promise(fd_ >= 0 && ::write(fd_, content.data(), content.size()) == std::ssize(content),
                "a file in memory could not be made");
    }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;
    ~MemoryFile() { ::close(fd_); }

    std::filesystem::path path() const { return fmt::format("/proc/self/fd/{}", fd_); }

    std::string content() const {
        struct stat status {};
        ::fstat(fd_, &status);
        std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
        promise(::pread(fd_, bytes.data(), bytes.size(), 0) == std::ssize(bytes), "a short read");
        return bytes;
    }

private:
    int fd_;
};

}  // namespace sluice::fuzz
