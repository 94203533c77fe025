#include "kernels/cuda/ceilings.hpp"
#include "kernels/cuda/event.hpp"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/quad.cuh"
#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/shared.cuh"

#include <algorithm>

namespace sluice::kernels::cuda {
namespace {

constexpr int kPieceThreads = 256;
constexpr int kThreadQuads = static_cast<int>(kPieceFloats) / (4 * kPieceThreads);
constexpr int kMultiplyThreads = kMultiplyWarps * kWarp;
constexpr int kBlocksOfProcessor = 4;  // at once
// Eight times as many as an H200 holds at once: no processor of it waits for others, and few of smaller GPUs.
constexpr int kMultiplyBlocks = 8 * kBlocksOfProcessor * 132;
constexpr double kMmaOperations = 2 * 16 * 8 * 16;
constexpr std::int64_t kTileFloats = 16 * 8;

__device__ __forceinline__ std::int64_t first_float() {
    return static_cast<std::int64_t>(blockIdx.x) * kPieceFloats + 4 * threadIdx.x;
}

__device__ __forceinline__ void load_piece(const float* values, Quad (&quads)[kThreadQuads]) {
#pragma unroll
    for (int i = 0; i < kThreadQuads; ++i)
        quads[i] = load_quad<true>(values, first_float() + 4 * kPieceThreads * i, 0);
}

__global__ void __launch_bounds__(kPieceThreads) read_piece(const float* values, float* sums) {
    join_stream();
    struct Shared {
        float sums[kMostWarps];
    };
    Quad quads[kThreadQuads];
    load_piece(values, quads);
    float sum = 0;
#pragma unroll
    for (const Quad& quad : quads) sum += (quad.v[0] + quad.v[1]) + (quad.v[2] + quad.v[3]);
    sum = block_sum(sum, shared<Shared>().sums);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kPieceThreads) copy_piece(const float* from, float* to) {
    join_stream();
    Quad quads[kThreadQuads];
    load_piece(from, quads);
#pragma unroll
    for (int i = 0; i < kThreadQuads; ++i)
        store_quad<true>(to, first_float() + 4 * kPieceThreads * i, 0, quads[i]);
}

__device__ __forceinline__ std::uint32_t pair_at(const bf16* p) {
    return *reinterpret_cast<const std::uint32_t*>(p);
}

__global__ void __launch_bounds__(kMultiplyThreads, kBlocksOfProcessor)
    multiply_tile(const bf16* a, const bf16* b, std::int64_t rounds, float* sums) {
    join_stream();
    const int g = lane_of_thread() / 4, t = lane_of_thread() % 4;  // as mma.cuh names them
    const bf16 *left = a + g * 16 + 2 * t, *right = b + g * 16 + 2 * t;
    const std::uint32_t rows[4] = {pair_at(left), pair_at(left + 8 * 16), pair_at(left + 8),
                                   pair_at(left + 8 * 16 + 8)};
    const std::uint32_t columns[2] = {pair_at(right), pair_at(right + 8)};
    float c[kMultiplyChains][4] = {};
    for (std::int64_t i = 0; i < rounds; ++i) {
#pragma unroll
        for (float(&chain)[4] : c) mma_bf16(chain, rows, columns);
    }
    float* tile =
        sums + (static_cast<std::int64_t>(blockIdx.x) * kMultiplyWarps + warp_of_thread()) * kTileFloats;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        float sum = 0;
#pragma unroll
        for (const float(&chain)[4] : c) sum += chain[i];
        tile[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum;
    }
}

// Of the GPU, for what `queue` puts into the stream.
template <class Queue>
double seconds_of(const Execution& execution, Queue queue) {
    Event start, end;
    start.record(execution.stream);
    queue();
    end.record(execution.stream);
    end.wait();
    return std::max(end.seconds_since(start), 1e-9);
}

constexpr std::size_t kPieceBytes = kPieceFloats * sizeof(float);

using Block = std::shared_ptr<std::byte>;

float* floats(const Block& block) { return reinterpret_cast<float*>(block.get()); }

}  // namespace

void read_pieces(const float* values, std::int64_t pieces, float* sums, const Execution& execution) {
    launch(read_piece, static_cast<unsigned>(pieces), kPieceThreads, 0, execution, values, sums);
}

void copy_pieces(const float* from, std::int64_t pieces, float* to, const Execution& execution) {
    launch(copy_piece, static_cast<unsigned>(pieces), kPieceThreads, 0, execution, from, to);
}

void multiply_tiles(const bf16* a, const bf16* b, std::int64_t rounds, int blocks, float* sums,
                    const Execution& execution) {
    launch(multiply_tile, static_cast<unsigned>(blocks), kMultiplyThreads, 0, execution, a, b, rounds, sums);
}

StreamMemory::StreamMemory(std::size_t bytes)
    : bytes_(std::max<std::size_t>(bytes / kPieceBytes, 2) * kPieceBytes),
      memory_(allocate_block(bytes_)),
      sums_(allocate_block(bytes_ / kPieceBytes * sizeof(float))) {
    SLUICE_CUDA_CHECK(cudaMemset(memory_.get(), 0x3f, bytes_));  // floats of 0.75 or so
    SLUICE_CUDA_CHECK(cudaStreamSynchronize(nullptr));           // other streams do not wait for this one
}

double StreamMemory::read_rate(const Execution& execution) const {
    const auto pieces = static_cast<std::int64_t>(bytes_ / kPieceBytes);
    const double seconds =
        seconds_of(execution, [&] { read_pieces(floats(memory_), pieces, floats(sums_), execution); });
    return static_cast<double>(bytes_) / seconds;
}

double StreamMemory::copy_rate(const Execution& execution) const {
    const auto pieces = static_cast<std::int64_t>(bytes_ / kPieceBytes / 2);
    const double seconds = seconds_of(execution, [&] {
        copy_pieces(floats(memory_), pieces, floats(memory_) + pieces * kPieceFloats, execution);
    });
    return 2 * static_cast<double>(pieces) * kPieceBytes / seconds;
}

double mma_sync_rate(const Execution& execution, std::int64_t rounds) {
    constexpr std::size_t kTiles = 16 * 16 + 8 * 16;
    const Block tiles = allocate_block(kTiles * sizeof(bf16));
    const Block sums =
        allocate_block(std::size_t{kMultiplyBlocks} * kMultiplyWarps * kTileFloats * sizeof(float));
    // Values of all kinds, for how much power they take limits the clock: sevenths of 0 to 6, either sign.
    upload(tiles.get(), kTiles, sizeof(bf16), [](std::size_t first, std::span<std::byte> items) {
        auto* values = reinterpret_cast<bf16*>(items.data());
        for (std::size_t i = 0; i < items.size() / sizeof(bf16); ++i)
            values[i] = to_bf16(static_cast<float>(static_cast<int>((first + i) * 5 % 13) - 6) / 7);
    });
    const auto* a = reinterpret_cast<const bf16*>(tiles.get());
    const double seconds = seconds_of(
        execution, [&] { multiply_tiles(a, a + 16 * 16, rounds, kMultiplyBlocks, floats(sums), execution); });
    return kMmaOperations * kMultiplyChains * kMultiplyWarps * kMultiplyBlocks * static_cast<double>(rounds) /
           seconds;
}

}  // namespace sluice::kernels::cuda
