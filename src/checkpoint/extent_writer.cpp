#include "checkpoint/extent_writer.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace sluice {
namespace {

bool all_zero(std::span<const std::byte> bytes) {
    return bytes.empty() ||
           (bytes[0] == std::byte{} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

void WriteBuffers::resize(std::uint64_t bytes) {
    if (std::exchange(bytes_, bytes) != bytes) free_.clear();
}

WriteBuffers::Buffer WriteBuffers::take() {
    if (!free_.empty()) {
        Buffer buffer = std::move(free_.back());
        free_.pop_back();
        return buffer;
    }
    Buffer buffer(static_cast<std::byte*>(std::aligned_alloc(kAlignment, bytes_)));
    if (buffer == nullptr) throw std::bad_alloc();
    return buffer;
}

ExtentWriter::ExtentWriter(const OutputFiles& files, const Extent& extent, WriteBuffers& buffers, bool holes)
    : files_(files), extent_(extent), buffers_(buffers), holes_(holes) {}

// Pieces end at multiples of the buffer in the file, so that all but the first and the last are aligned.
std::uint64_t ExtentWriter::piece_end() const {
    const std::uint64_t at = extent_.offset + written_;
    const std::uint64_t end = (at / buffers_.bytes() + 1) * buffers_.bytes();
    return std::min(end - extent_.offset, extent_.bytes);
}

void ExtentWriter::add(std::span<const std::byte> bytes) {
    expect(bytes.size() <= extent_.bytes - written_ - held_, "more bytes than an extent has");
    while (!bytes.empty()) {
        if (buffer_ == nullptr) buffer_ = buffers_.take();
        const std::uint64_t now = std::min<std::uint64_t>(bytes.size(), piece_end() - written_ - held_);
        std::memcpy(buffer_.get() + held_, bytes.data(), now);
        held_ += now;
        bytes = bytes.subspan(now);
        if (written_ + held_ == piece_end()) write_piece();
    }
}

void ExtentWriter::write_piece() {
    const std::span<const std::byte> piece(buffer_.get(), held_);
    if (!(holes_ && all_zero(piece))) files_.write_direct(extent_, written_, piece);
    written_ += std::exchange(held_, 0);
    if (written_ == extent_.bytes) buffers_.put(std::move(buffer_));
}

}  // namespace sluice
