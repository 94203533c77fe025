// What launches attention: a file for each element that pages can have includes it.
#pragma once

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/run.hpp"
#include "kernels/cuda/shared.cuh"

namespace sluice::kernels::cuda {

// Blocks are tiles x kv heads (x chunks, where these have blocks of their own).
template <class Tile>
__device__ float* slots_of(const AttentionCall& call) {
    if (!call.split) return nullptr;
    const std::int64_t tile = static_cast<std::int64_t>(blockIdx.x) * gridDim.y + blockIdx.y;
    return call.workspace + tile * call.chunks * Tile::kSlot;
}

// At least one block of a processor for tiles of many columns, two for others.
template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kColumns > 128 ? 1 : 2) attend(AttentionCall call) {
    join_stream();
    const TilePlace place = find_tile(call, static_cast<int>(blockIdx.x), Tile::kPairs);
    if (place.sequence < 0) return;
    Attend<Tile> tile(call, place, static_cast<int>(blockIdx.y), dynamic_shared<bf16>(),
                      slots_of<Tile>(call));
    tile.run(static_cast<int>(blockIdx.z));
}

// Adds the chunks of a tile in order: a warp for each pair.
template <class Tile>
__global__ void __launch_bounds__(4 * kWarp) merge_chunks(AttentionCall call) {
    join_stream();
    const TilePlace place = find_tile(call, static_cast<int>(blockIdx.x), Tile::kPairs);
    if (place.sequence < 0) return;
    const SequenceRows& sequence = call.args.sequences.data()[place.sequence];
    const int p = static_cast<int>(blockIdx.z) * 4 + warp_of_thread(), pair = place.first_pair + p;
    const int rows = static_cast<int>(sequence.rows);
    if (pair >= rows * call.group) return;
    const int row = pair / call.group, first = static_cast<int>(sequence.context) - rows;
    constexpr int kPositions = Tile::kChunkPages * kPageTokens;
    // Tiles of one chunk have written what comes out themselves.
    const int last_row = (min(place.first_pair + Tile::kPairs, rows * call.group) - 1) / call.group;
    if (first + last_row < kPositions) return;
    const int chunks = (first + row) / kPositions + 1;
    const float* slots = slots_of<Tile>(call);
    const float* most = slots + Tile::kPairs * Tile::kColumns + p;
    const float* total = most + Tile::kPairs;
    const std::int64_t head = static_cast<std::int64_t>(blockIdx.y) * call.group + pair % call.group;
    const std::int64_t width = call.args.value_dim;
    float* out = call.args.out + ((sequence.first_row + row) * call.args.heads + head) * width;
    for (int column = lane_of_thread(); column < width; column += kWarp) {
        const float* sums = slots + p * Tile::kColumns + column;
        float sum = sums[0], all_total = total[0], all_most = most[0];
        for (int c = 1; c < chunks; ++c) {
            const std::int64_t at = static_cast<std::int64_t>(c) * Tile::kSlot;
            const Meeting meeting = meet(all_most, most[at]);
            all_most = meeting.most;
            all_total = met(meeting, all_total, total[at]);
            sum = met(meeting, sum, sums[at]);
        }
        out[column] = sum / all_total;
    }
}

inline std::size_t most_shared_bytes() {
    static const int bytes = [] {
        int answer = 0;
        SLUICE_CUDA_CHECK(cudaDeviceGetAttribute(&answer, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
        return answer;
    }();
    return static_cast<std::size_t>(bytes);
}

inline AttentionCall prepare(const AttentionArgs& args) {
    AttentionCall call;
    call.args = args;
    call.group = static_cast<int>(args.heads / args.kv_heads);
    call.key_steps = static_cast<int>((args.key_dim + 15) / 16);
    call.key_pitch = (call.key_steps + 3) / 4 * 64;
    call.two_by_cap = args.softcap > 0 ? 2 / args.softcap : 0;
    call.aliased = args.values == args.keys &&
                   (args.kv_heads == 1 || args.key_head_stride == args.value_head_stride) &&
                   args.value_dim <= args.key_dim && attention_columns(args.value_dim) <= call.key_pitch;
    const auto aligned = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; };
    const auto in_sixteens = [&](std::int64_t elements) {
        return elements * static_cast<std::int64_t>(size_of(args.page_dtype)) % 16 == 0;
    };
    const bool heads_aligned =
        args.kv_heads == 1 || (in_sixteens(args.key_head_stride) && in_sixteens(args.value_head_stride));
    call.whole_rows = aligned(args.keys) && aligned(args.values) && in_sixteens(args.page_stride) &&
                      in_sixteens(args.row_stride) && heads_aligned;
    call.whole_queries = in_quads(args.q, args.key_dim, args.key_dim);
    call.paired_out = reinterpret_cast<std::uintptr_t>(args.out) % 8 == 0 && args.value_dim % 2 == 0;
    return call;
}

template <class Tile>
void run_tiles(AttentionCall& call, const AttentionPlan& plan, const Execution& execution) {
    if constexpr (sizeof(typename Tile::Element) == 1) {
        call.stages = 1;
        call.staged = call.whole_rows;
        if (shared_bytes<Tile>(call) > most_shared_bytes()) call.staged = false;
    } else if (shared_bytes<Tile>(call) > most_shared_bytes()) {
        call.stages = 1;
    }
    call.chunks = plan.chunks;
    call.split = plan.split_bytes > 0 && plan.split_bytes <= execution.workspace_bytes;
    call.workspace = static_cast<float*>(execution.workspace);
    const dim3 tiles(static_cast<unsigned>(plan.tiles), static_cast<unsigned>(call.args.kv_heads),
                     call.split ? static_cast<unsigned>(plan.chunks) : 1);
    launch(attend<Tile>, tiles, Tile::kThreads, shared_bytes<Tile>(call), execution, call);
    if (call.split) {
        launch(merge_chunks<Tile>, dim3(tiles.x, tiles.y, Tile::kPairs / 4), 4 * kWarp, 0, execution, call);
    }
}

template <class Element, int Columns>
void run_columns(const AttentionArgs& args, const Execution& execution) {
    const AttentionPlan plan = plan_attention(args);
    if (plan.tiles == 0) return;
    AttentionCall call = prepare(args);
    if (plan.pairs == 64)
        run_tiles<AttentionTile<64, Columns, Element>>(call, plan, execution);
    else if (plan.pairs == 32)
        run_tiles<AttentionTile<32, Columns, Element>>(call, plan, execution);
    else
        run_tiles<AttentionTile<16, Columns, Element>>(call, plan, execution);
}

template <class Element>
void run_attention_on(const AttentionArgs& args, const Execution& execution) {
    switch (attention_columns(args.value_dim)) {
        case 64: return run_columns<Element, 64>(args, execution);
        case 128: return run_columns<Element, 128>(args, execution);
        case 256: return run_columns<Element, 256>(args, execution);
        default: return run_columns<Element, 512>(args, execution);
    }
}
extern template void run_attention_on<fp8>(const AttentionArgs& args, const Execution& execution);

}  // namespace sluice::kernels::cuda
