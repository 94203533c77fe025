#include "kernels/cuda/memory.hpp"

#include "core/error.hpp"
#include "core/units.hpp"
#include "kernels/cuda/check.cuh"

#include <algorithm>
#include <mutex>

namespace sluice::kernels::cuda {
namespace {

// Two halves of pinned memory, of which one is filled while the other is copied. Kept for good: to pin takes
// milliseconds, and at the end of the process the runtime may be gone before it.
class Staging {
public:
    static constexpr std::size_t kHalf = std::size_t{8} << 20;

    static Staging& instance() {
        static auto* const staging = new Staging;
        return *staging;
    }
    Staging() {
        for (Half& half : halves_) {
            SLUICE_CUDA_CHECK(cudaMallocHost(reinterpret_cast<void**>(&half.memory), kHalf));
            SLUICE_CUDA_CHECK(cudaEventCreateWithFlags(&half.copied, cudaEventDisableTiming));
        }
        SLUICE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    }
    // The half whose turn it is, once what it held last has been copied.
    std::byte* next() {
        turn_ ^= 1U;
        SLUICE_CUDA_CHECK(cudaEventSynchronize(halves_[turn_].copied));
        return halves_[turn_].memory;
    }
    void copy(std::byte* to, std::size_t bytes) {
        SLUICE_CUDA_CHECK(cudaMemcpyAsync(to, halves_[turn_].memory, bytes, cudaMemcpyHostToDevice, stream_));
        SLUICE_CUDA_CHECK(cudaEventRecord(halves_[turn_].copied, stream_));
    }
    void finish() { SLUICE_CUDA_CHECK(cudaStreamSynchronize(stream_)); }

    std::mutex mutex;

private:
    struct Half {
        std::byte* memory = nullptr;
        cudaEvent_t copied = nullptr;
    };
    Half halves_[2];
    unsigned turn_ = 0;
    cudaStream_t stream_ = nullptr;
};

std::shared_ptr<std::byte> claim(std::size_t bytes) {
    return {static_cast<std::byte*>(allocate(bytes)), &release};
}

// What blocks are cut from.
struct Piece {
    std::shared_ptr<std::byte> memory;
    std::size_t bytes = 0, used = 0;
};
thread_local std::weak_ptr<Piece> piece_of_thread;

}  // namespace

void* allocate(std::size_t bytes) {
    void* memory = nullptr;
    const cudaError_t result = cudaMalloc(&memory, std::max<std::size_t>(bytes, 1));
    if (result == cudaErrorMemoryAllocation) {
        cudaGetLastError();  // or the next check would find it
        std::size_t free = 0, total = 0;
        SLUICE_CUDA_CHECK(cudaMemGetInfo(&free, &total));
        fail(ExitCode::Internal,
             "cannot allocate {} of the GPU's memory: {} of {} are free. Use more ranks, or a smaller "
             "--kv-memory",
             bytes_text(bytes), bytes_text(free), bytes_text(total));
    }
    SLUICE_CUDA_CHECK(result);
    return memory;
}

void release(void* memory) noexcept {
    cudaFree(memory);  // fails only where the runtime ended before: then nothing is left to free
}

std::shared_ptr<std::byte> allocate_block(std::size_t bytes) {
    const std::shared_ptr<Piece> piece = piece_of_thread.lock();
    if (piece == nullptr || piece->bytes - piece->used < aligned(bytes)) return claim(bytes);
    std::byte* const block = piece->memory.get() + piece->used;
    piece->used += aligned(bytes);
    return {piece->memory, block};
}

std::shared_ptr<void> claim_for_blocks(std::size_t bytes) {
    auto piece = std::make_shared<Piece>(Piece{claim(bytes), bytes});
    piece_of_thread = piece;
    return piece;
}

void upload(std::byte* to, std::size_t count, std::size_t each,
            const std::function<void(std::size_t, std::span<std::byte>)>& fill) {
    if (count * each == 0) return;
    expect(each <= Staging::kHalf, "an item of {} bytes to upload", each);
    Staging& staging = Staging::instance();
    const std::lock_guard lock(staging.mutex);
    const std::size_t at_once = Staging::kHalf / each;
    for (std::size_t first = 0; first < count; first += at_once) {
        const std::size_t bytes = std::min(at_once, count - first) * each;
        std::byte* half = staging.next();
        fill(first, {half, bytes});
        staging.copy(to + first * each, bytes);
    }
    staging.finish();
}

}  // namespace sluice::kernels::cuda
