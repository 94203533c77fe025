// Fills an extent from its beginning to its end, past the page cache: what is written once and not read again
// soon would only push better pages out, and costs the system more time than the disk.
#pragma once

#include "checkpoint/output_files.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

namespace sluice {

// Memory aligned for disks, handed from one writer to the next.
class WriteBuffers {
public:
    static constexpr std::uint64_t kAlignment = 4096;
    struct Free {
        void operator()(std::byte* memory) const { std::free(memory); }
    };
    using Buffer = std::unique_ptr<std::byte, Free>;

    // For buffers of this many bytes, a multiple of the alignment; those of another size are given up.
    void resize(std::uint64_t bytes);
    std::uint64_t bytes() const { return bytes_; }
    Buffer take();
    void put(Buffer buffer) { free_.push_back(std::move(buffer)); }

private:
    std::uint64_t bytes_ = 0;
    std::vector<Buffer> free_;
};

class ExtentWriter {
public:
    // `holes`: pieces of zeros are not written; the file reads as zeros there.
    ExtentWriter(const OutputFiles& files, const Extent& extent, WriteBuffers& buffers, bool holes);

    // The next bytes; with the last ones, all is written. ExitCode::File.
    void add(std::span<const std::byte> bytes);

private:
    std::uint64_t piece_end() const;
    void write_piece();

    const OutputFiles& files_;
    Extent extent_;
    WriteBuffers& buffers_;
    bool holes_;
    WriteBuffers::Buffer buffer_;
    std::uint64_t written_ = 0, held_ = 0;  // of the extent
};

}  // namespace sluice
