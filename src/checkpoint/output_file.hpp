// A file that is written at any place, and made durable. ExitCode::File with the system's reason for whatever
// cannot be done.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace sluice {

class OutputFile {
public:
    enum class Mode : std::uint8_t {
        Empty,   // made, or emptied
        Append,  // made where it is missing; append() alone may write
        Fill,    // must exist
    };

    OutputFile(std::filesystem::path path, Mode mode);
    OutputFile(OutputFile&& other) noexcept;
    OutputFile& operator=(OutputFile&&) = delete;
    ~OutputFile();

    const std::filesystem::path& path() const { return path_; }

    // All of `bytes`, from `offset` on. Thread-safe.
    void write(std::uint64_t offset, std::span<const std::byte> bytes) const;
    // The same past the page cache, where file system and alignment (of offset and memory to 4 KiB) allow.
    void write_direct(std::uint64_t offset, std::span<const std::byte> bytes) const;
    void open_direct();  // before write_direct

    // All of `bytes` at the end; in one piece, unless the system is short of space.
    void append(std::string_view bytes) const;
    // All of `out`, from `offset` on: a file that ends before is an error. Thread-safe.
    void read(std::uint64_t offset, std::span<std::byte> out) const;
    void resize(std::uint64_t bytes) const;
    std::uint64_t size() const;
    void sync() const;
    // Reports errors that the destructor would ignore.
    void close();

private:
    void check(bool ok, const char* what) const;

    std::filesystem::path path_;
    int descriptor_ = -1;
    int direct_ = -1;  // none where the file system has no such thing
};

// Makes a file with this content, or gives it to the one that is there.
void create_file(const std::filesystem::path& path, std::string_view content);

// Makes a file, or a folder's list of names, durable.
void sync_path(const std::filesystem::path& path);

}  // namespace sluice
