// How attention is cut into tiles of (row, head) pairs and chunks of positions. Nothing here changes a bit of
// what comes out: a chunk's length depends on the widths of the heads alone, chunks are added in order
// whether one block takes them all or each has one of its own, and pairs share a tile without meeting.
#pragma once

#include "kernels/args.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace sluice::kernels::cuda {

// Chunks go to blocks of their own while there are fewer tiles than this: two for a processor of a large GPU.
inline constexpr std::int64_t kFewTiles = 264;
// More than this is never taken as a workspace.
inline constexpr std::size_t kMostAttentionWorkspace = std::size_t{256} << 20;

// Values' columns of a tile.
constexpr int attention_columns(std::int64_t value_dim) {
    return value_dim <= 64 ? 64 : value_dim <= 128 ? 128 : value_dim <= 256 ? 256 : 512;
}
// Pages whose softmax is summed before it meets the earlier ones'. Sums of many columns are dear to move.
constexpr int chunk_pages(int columns) { return columns > 256 ? 16 : 8; }

struct AttentionPlan {
    int pairs = 16;               // of a tile
    std::int64_t tiles = 0;       // that the sequences have at most, for one kv head
    int chunks = 1;               // of the longest context
    std::size_t split_bytes = 0;  // of workspace, to give each chunk a block of its own; 0: not worth it
};

inline AttentionPlan plan_attention(const AttentionArgs& args) {
    AttentionPlan plan;
    if (args.rows == 0 || args.sequences.empty()) return plan;
    const auto sequences = static_cast<std::int64_t>(args.sequences.size());
    const std::int64_t group = args.heads / args.kv_heads;
    const std::int64_t usual = args.rows * group / sequences;  // pairs of a sequence
    plan.pairs = usual > 32 ? 64 : usual > 16 ? 32 : 16;
    const std::int64_t of_a_row = (group + plan.pairs - 1) / plan.pairs;
    plan.tiles = std::min(args.rows * of_a_row, args.rows * group / plan.pairs + sequences);
    const int columns = attention_columns(args.value_dim);
    const std::int64_t positions = std::int64_t{kPageTokens} * chunk_pages(columns);
    plan.chunks = static_cast<int>((args.most_context + positions - 1) / positions);
    const std::int64_t blocks = plan.tiles * args.kv_heads;
    // A slot holds the columns' sums, the greatest score and the total of every pair.
    const std::size_t bytes = static_cast<std::size_t>(blocks * plan.chunks) *
                              static_cast<std::size_t>(plan.pairs * (columns + 2)) * sizeof(float);
    if (plan.chunks > 1 && blocks < kFewTiles && bytes <= kMostAttentionWorkspace) plan.split_bytes = bytes;
    return plan;
}

// What split_bytes can be for so many rows and such contexts, or fewer, whatever the sequences.
inline std::size_t most_split_bytes(const AttentionArgs& args) {
    if (args.rows == 0) return 0;
    const int columns = attention_columns(args.value_dim);
    const std::int64_t positions = std::int64_t{kPageTokens} * chunk_pages(columns);
    const std::int64_t chunks = (args.most_context + positions - 1) / positions;
    if (chunks <= 1) return 0;
    const std::int64_t of_a_row = (args.heads / args.kv_heads + 15) / 16;
    const std::int64_t blocks = std::min(args.rows * of_a_row * args.kv_heads, kFewTiles - 1);
    const auto bytes = static_cast<std::size_t>(blocks * chunks * 64 * (columns + 2)) * sizeof(float);
    return std::min(bytes, kMostAttentionWorkspace);
}

}  // namespace sluice::kernels::cuda
