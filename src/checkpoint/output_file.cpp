#include "checkpoint/output_file.hpp"

#include "checkpoint/open_descriptor.hpp"
#include "core/error.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

int flags_of(OutputFile::Mode mode) {
    switch (mode) {
        case OutputFile::Mode::Empty: return O_CREAT | O_TRUNC;
        case OutputFile::Mode::Append: return O_CREAT | O_APPEND;
        case OutputFile::Mode::Fill: return 0;
    }
    return 0;
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path path, Mode mode) : path_(std::move(path)) {
    descriptor_ = open_descriptor(path_, O_RDWR | flags_of(mode));
    check(descriptor_ >= 0, "open");
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      direct_(std::exchange(other.direct_, -1)) {}

OutputFile::~OutputFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (direct_ >= 0) ::close(direct_);
}

void OutputFile::write(std::uint64_t offset, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
        const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        check(written > 0, "write");
        bytes = bytes.subspan(static_cast<std::size_t>(written));
        offset += static_cast<std::uint64_t>(written);
    }
}

void OutputFile::open_direct() { direct_ = open_descriptor(path_, O_WRONLY | O_DIRECT); }

void OutputFile::write_direct(std::uint64_t offset, std::span<const std::byte> bytes) const {
    constexpr std::uint64_t kBlock = 4096;
    const bool aligned = offset % kBlock == 0 && reinterpret_cast<std::uintptr_t>(bytes.data()) % kBlock == 0;
    std::size_t left = direct_ >= 0 && aligned ? bytes.size() / kBlock * kBlock : 0;
    while (left > 0) {
        const ssize_t written = ::pwrite(direct_, bytes.data(), left, static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0 || static_cast<std::uint64_t>(written) % kBlock != 0) break;
        left -= static_cast<std::size_t>(written);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
        offset += static_cast<std::uint64_t>(written);
    }
    write(offset, bytes);  // the rest, and what was declined: this tells why
}

void OutputFile::append(std::string_view bytes) const {
    while (!bytes.empty()) {
        const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        check(written > 0, "write");
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
}

void OutputFile::read(std::uint64_t offset, std::span<std::byte> out) const {
    while (!out.empty()) {
        const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        require(got != 0, ExitCode::File, "cannot read {}: it ends at byte {}", path_.string(), offset);
        check(got > 0, "read");
        out = out.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
}

void OutputFile::resize(std::uint64_t bytes) const {
    check(::ftruncate(descriptor_, static_cast<off_t>(bytes)) == 0, "resize");
}

std::uint64_t OutputFile::size() const {
    struct stat status {};
    check(::fstat(descriptor_, &status) == 0, "read");
    return static_cast<std::uint64_t>(status.st_size);
}

void OutputFile::sync() const { check(::fsync(descriptor_) == 0, "make durable"); }

void OutputFile::close() { check(::close(std::exchange(descriptor_, -1)) == 0, "write"); }

void OutputFile::check(bool ok, const char* what) const {
    require(ok, ExitCode::File, "cannot {} {}: {}", what, path_.string(), std::strerror(errno));
}

void create_file(const std::filesystem::path& path, std::string_view content) {
    OutputFile file(path, OutputFile::Mode::Empty);
    file.write(0, std::as_bytes(std::span(content)));
    file.close();
}

void sync_path(const std::filesystem::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const bool ok = fd >= 0 && ::fsync(fd) == 0;
    const int problem = errno;
    if (fd >= 0) ::close(fd);
    require(ok, ExitCode::File, "cannot make durable {}: {}", path.string(), std::strerror(problem));
}

}  // namespace sluice
