#include "kernels/cpu/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>

namespace sluice::kernels::cpu {

namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20U;

// What blocks are cut from. Of a piece only what is written to takes memory.
class Pieces {
public:
    std::shared_ptr<std::byte> cut(std::size_t bytes) {
        const std::lock_guard lock(mutex_);
        std::shared_ptr<std::byte[]> piece = piece_.lock();
        if (piece == nullptr || kPiece - used_ < bytes) {
            piece = allocate_bytes(kPiece);
            piece_ = piece;
            used_ = 0;
        }
        std::byte* const block = piece.get() + used_;
        used_ += (bytes + kLine - 1) / kLine * kLine;
        return {std::move(piece), block};
    }

    static constexpr std::size_t kPiece = 32 * kHugePage;

private:
    std::mutex mutex_;
    std::weak_ptr<std::byte[]> piece_;
    std::size_t used_ = 0;
};

}  // namespace

std::shared_ptr<std::byte> allocate_block(std::size_t bytes) {
    static Pieces pieces;
    if (bytes <= Pieces::kPiece / 4) return pieces.cut(bytes);
    const std::shared_ptr<std::byte[]> whole = allocate_bytes(bytes);
    return {whole, whole.get()};
}

Bytes allocate_bytes(std::size_t bytes) {
    // Whole huge pages only: one for the tail would hold up to 2 MiB that nobody counted.
    const std::size_t huge = bytes / kHugePage * kHugePage;
    void* memory = nullptr;
    if (posix_memalign(&memory, huge > 0 ? kHugePage : kLine, std::max(bytes, kLine)) != 0)
        throw std::bad_alloc();
    if (huge > 0) madvise(memory, huge, MADV_HUGEPAGE);  // advice: its failure costs only speed
    return Bytes(static_cast<std::byte*>(memory));
}

std::byte* Scratch::at_least(std::size_t bytes) {
    if (bytes > size_) {
        memory_ = nullptr;
        size_ = 0;  // should there be no more memory
        memory_ = allocate_bytes(bytes);
        size_ = bytes;
    }
    return memory_.get();
}

}  // namespace sluice::kernels::cpu
