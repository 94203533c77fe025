#include "checkpoint/input_file.hpp"

#include "checkpoint/checksum.hpp"
#include "checkpoint/open_descriptor.hpp"
#include "core/error.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice {
InputFile::InputFile(std::filesystem::path path)
    : path_(std::move(path)), descriptor_(open_descriptor(path_, O_RDONLY)) {
    require(descriptor_ >= 0, ExitCode::Checkpoint, "cannot open {}: {}", path_.string(),
            std::strerror(errno));
    struct stat status {};
    const bool regular = ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode);
    if (!regular) ::close(std::exchange(descriptor_, -1));
    require(regular, ExitCode::Checkpoint, "cannot read {}: not a regular file", path_.string());
    size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::read(std::uint64_t offset, std::span<std::byte> out) const {
    while (!out.empty()) {
        const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        require(got >= 0, ExitCode::File, "cannot read {}: {}", path_.string(), std::strerror(errno));
        require(got > 0, ExitCode::Checkpoint, "cannot read {}: it is cut short", path_.string());
        out = out.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
}

std::string InputFile::stamp() const {
    constexpr std::uint64_t kSample = 4096;
    struct stat status {};
    const bool there = ::stat(path_.c_str(), &status) == 0;
    require(there || errno == ENOENT, ExitCode::File, "cannot read {}: {}", path_.string(),
            std::strerror(errno));
    Checksum samples;
    for (const std::uint64_t end : {size_ / 2, size_}) {
        std::array<std::byte, kSample> sample{};
        const std::uint64_t begin = end - std::min(end, kSample);
        const auto bytes = std::span(sample).first(end - begin);
        read(begin, bytes);
        samples.add(bytes);
    }
    return fmt::format("{} {} {} {} {}\n", path_.filename().string(), there ? status.st_size : -1,
                       status.st_mtim.tv_sec, status.st_mtim.tv_nsec, checksum_text(samples.value()));
}

void InputFile::will_read(std::uint64_t offset, std::uint64_t bytes) const {
    // Only advice: a kernel that declines costs speed, not correctness.
    (void)::posix_fadvise(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                          POSIX_FADV_WILLNEED);
}

}  // namespace sluice
