// A file that any thread reads at any place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace sluice {

class InputFile {
public:
    // ExitCode::Checkpoint with the system's reason.
    explicit InputFile(std::filesystem::path path);
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;
    ~InputFile();

    const std::filesystem::path& path() const { return path_; }
    std::uint64_t size() const { return size_; }
    // Name, size and time of change as they are now, and a sample of the content: other when the file is.
    std::string stamp() const;

    // All of `out`, from `offset` on. ExitCode::Checkpoint when the file ends before, ExitCode::File when the
    // system cannot read it.
    void read(std::uint64_t offset, std::span<std::byte> out) const;

    // The kernel may begin to read these bytes.
    void will_read(std::uint64_t offset, std::uint64_t bytes) const;

private:
    std::filesystem::path path_;
    int descriptor_ = -1;
    std::uint64_t size_ = 0;
};

}  // namespace sluice
