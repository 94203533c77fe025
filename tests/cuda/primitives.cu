#include "cuda/primitives.hpp"

#include "kernels/cuda/convert.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/math.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/shared.cuh"

namespace sluice::test {
namespace {

using namespace sluice::kernels::cuda;
using kernels::Execution;
using kernels::Family;

__global__ void round_each(const float* x, std::uint32_t* halves, std::uint16_t* eighths) {
    const unsigned i = threadIdx.x;
    halves[i] = pack_bf16(x[2 * i], x[2 * i + 1]);
    eighths[i] = pack_e4m3(x[2 * i], x[2 * i + 1]);
}

__global__ void widen_each(const fp8* codes, float* out) {
    out[threadIdx.x] = e4m3_to_float(codes[threadIdx.x]);
}

__global__ void elementary_each(const float* x, float* exponentials, float* sigmoids) {
    exponentials[threadIdx.x] = exponential(x[threadIdx.x]);
    sigmoids[threadIdx.x] = sigmoid(x[threadIdx.x]);
}

struct alignas(16) Tiles {
    bf16 a[16 * 16], b[16 * 8];
};

// One warp; a tile's 8 x 8 quarters are matrices.
__global__ void multiply(const bf16* a, const bf16* b, bool b_is_transposed, float* c) {
    Tiles& tiles = shared<Tiles>();
    const int lane = static_cast<int>(threadIdx.x);
    copy_async(tiles.a + 8 * lane, a + 8 * lane);
    commit_copies();
    if (lane < 16) copy_async(tiles.b + 8 * lane, b + 8 * lane);
    commit_copies();
    wait_copies<0>();
    __syncthreads();
    std::uint32_t left[4], right[4];
    load_matrices(left, tiles.a + lane % 16 * 16 + lane / 16 * 8);
    if (b_is_transposed)
        load_matrices(right, tiles.b + lane % 8 * 16 + lane / 8 % 2 * 8);
    else
        load_transposed(right, tiles.b + lane % 16 * 8);
    float sums[4] = {};
    const std::uint32_t both[2] = {right[0], right[1]};
    mma_bf16(sums, left, both);
    for (int i = 0; i < 4; ++i) c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

__global__ void copy(const std::uint8_t* from, int bytes, std::uint8_t* to) {
    struct alignas(16) Shared {
        std::uint8_t bytes[16];
    };
    Shared& memory = shared<Shared>();
    copy_async(memory.bytes, from, bytes);
    commit_copies();
    wait_copies<0>();
    for (int i = 0; i < 16; ++i) to[i] = memory.bytes[i];
}

template <class Kernel, class... Arguments>
void run(Kernel kernel, std::int64_t threads, const Arguments&... arguments) {
    launch(kernel, 1, static_cast<unsigned>(threads), 0, Execution{}, arguments...);
    synchronize(Execution{});
}

}  // namespace

void round_pairs(const float* x, std::int64_t pairs, std::uint32_t* halves, std::uint16_t* eighths) {
    run(round_each, pairs, x, halves, eighths);
}
void widen(const fp8* codes, std::int64_t count, float* out) { run(widen_each, count, codes, out); }
void elementary(const float* x, std::int64_t count, float* exponentials, float* sigmoids) {
    run(elementary_each, count, x, exponentials, sigmoids);
}
void multiply_tile(const bf16* a, const bf16* b, bool b_is_transposed, float* c) {
    run(multiply, 32, a, b, b_is_transposed, c);
}
void copy_some(const std::uint8_t* from, int bytes, std::uint8_t* to) { run(copy, 1, from, bytes, to); }

}  // namespace sluice::test
