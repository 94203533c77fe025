#include "kernels/cpu/memory.hpp"

#include <sys/mman.h>

#include <new>

namespace sluice::kernels::cpu {

Bytes allocate_bytes(std::size_t bytes) {
    constexpr std::size_t kLine = 64;
    constexpr std::size_t kHugePage = std::size_t{2} << 20U;
    const std::size_t alignment = bytes >= kHugePage ? kHugePage : kLine;
    const std::size_t size = (bytes + alignment - 1) / alignment * alignment;
    void* memory = std::aligned_alloc(alignment, size == 0 ? kLine : size);
    if (memory == nullptr) throw std::bad_alloc();
    if (alignment == kHugePage) madvise(memory, size, MADV_HUGEPAGE);  // advice: its failure costs only speed
    return Bytes(static_cast<std::byte*>(memory));
}

std::byte* Scratch::at_least(std::size_t bytes) {
    if (bytes > size_) {
        memory_ = nullptr;
        memory_ = allocate_bytes(bytes);
        size_ = bytes;
    }
    return memory_.get();
}

}  // namespace sluice::kernels::cpu
