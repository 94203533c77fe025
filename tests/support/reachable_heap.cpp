// Makes the heap of a test program memory that the GPU reaches, too: linked into one, it lets suites that
// know only the host's memory check kernels of a GPU. Without one, and until the tests begin, it is the
// ordinary heap.
#include "kernels/cuda/check.cuh"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>

namespace sluice::test {
namespace {

std::atomic<bool> reachable = false;

class Reachable : public testing::Environment {
public:
    void SetUp() override { reachable = kernels::cuda::available(); }
    void TearDown() override { reachable = false; }
};
[[maybe_unused]] const auto* const environment = testing::AddGlobalTestEnvironment(new Reachable);

// Before every block; keeps it aligned to 16.
struct alignas(16) Header {
    std::uint32_t size_class;  // the power of two of its bytes, or kOrdinary
    Header* next;              // of the unused
};
constexpr std::uint32_t kOrdinary = 0;

// Blocks of powers of two that are given out again and never returned: the driver takes microseconds for each
// call.
class ReachableHeap {
public:
    Header* take(std::size_t bytes) {
        const auto size_class = static_cast<std::uint32_t>(std::bit_width(bytes + sizeof(Header) - 1));
        const std::lock_guard lock(mutex_);
        Header*& unused = unused_[size_class];
        Header* block = unused;
        if (block != nullptr)
            unused = block->next;
        else
            block = fresh(std::size_t{1} << size_class);
        block->size_class = size_class;
        return block;
    }
    void give_back(Header* block) {
        const std::lock_guard lock(mutex_);
        block->next = unused_[block->size_class];
        unused_[block->size_class] = block;
    }

private:
    static constexpr std::size_t kSlab = std::size_t{64} << 20, kPage = 4096;

    Header* fresh(std::size_t bytes) {
        if (bytes > left_) {
            left_ = bytes > kSlab ? bytes : kSlab;
            left_ = (left_ + kPage - 1) / kPage * kPage;
            // The host's own, for it looks at blocks while kernels run, and when the driver is gone.
            slab_ = static_cast<std::byte*>(std::aligned_alloc(kPage, left_));
            if (slab_ == nullptr || cudaHostRegister(slab_, left_, cudaHostRegisterDefault) != cudaSuccess)
                throw std::bad_alloc();
        }
        auto* block = reinterpret_cast<Header*>(slab_);
        slab_ += bytes;
        left_ -= bytes;
        return block;
    }

    std::mutex mutex_;
    std::array<Header*, 64> unused_{};
    std::byte* slab_ = nullptr;
    std::size_t left_ = 0;
};
ReachableHeap heap;

}  // namespace
}  // namespace sluice::test

void* operator new(std::size_t bytes) {
    using namespace sluice::test;
    static thread_local bool inside = false;  // the runtime may allocate, too
    Header* block = nullptr;
    if (reachable && !inside) {
        inside = true;
        block = heap.take(bytes);
        inside = false;
    } else {
        block = static_cast<Header*>(std::malloc(bytes + sizeof(Header)));
        if (block == nullptr) throw std::bad_alloc();
        block->size_class = kOrdinary;
    }
    return block + 1;
}

void operator delete(void* p) noexcept {
    using namespace sluice::test;
    if (p == nullptr) return;
    Header* block = static_cast<Header*>(p) - 1;
    if (block->size_class == kOrdinary)
        std::free(block);
    else
        heap.give_back(block);
}
void operator delete(void* p, std::size_t) noexcept { operator delete(p); }
