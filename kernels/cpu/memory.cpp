#include "kernels/cpu/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace sluice::kernels::cpu {

Bytes allocate_bytes(std::size_t bytes) {
    constexpr std::size_t kLine = 64;
    constexpr std::size_t kHugePage = std::size_t{2} << 20U;
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
