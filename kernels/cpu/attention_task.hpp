// Attention cut into tasks: some (row, head) pairs that share a sequence and a kv head.
#pragma once

#include "kernels/args.hpp"
#include "kernels/kernel.hpp"

#include <cstdint>

namespace sluice::kernels::cpu {

// Pairs of a task: enough that converting a block of keys and values costs little beside using it, few enough
// that their sums stay in the second-level cache.
inline constexpr std::int64_t kMostPairs = 96;
// Values are kept and summed in panels of this many columns, the last one padded.
inline constexpr std::int64_t kPanelColumns = 64;

// What a kernel converts into its scratch, in floats; multiples of sixteen.
struct AttentionTiles {
    std::int64_t keys = 0, values = 0;
    std::int64_t query = 0;  // of one pair
};

// Where the parts of a task's scratch begin, in floats. The keys are at 0.
struct AttentionScratch {
    std::int64_t panels = 0;   // of values
    std::int64_t values = 0;   // tile
    std::int64_t queries = 0;  // [pairs][AttentionTiles::query]
    std::int64_t sums = 0;     // [pairs][panels * kPanelColumns]
    std::int64_t scores = 0;   // [pairs][64]
    std::int64_t max = 0;      // [pairs], of the scores so far
    std::int64_t total = 0;    // [pairs], of the exponentials so far
    std::int64_t factor = 0;   // [pairs], what the block's maximum multiplies earlier sums by
    std::int64_t floats = 0;
};

struct AttentionTask {
    const AttentionArgs* args = nullptr;
    const SequenceRows* sequence = nullptr;
    std::int64_t kv_head = 0;
    std::int64_t first_head = 0, heads = 0;    // the heads that read kv_head
    std::int64_t begin = 0, end = 0;           // pairs: pair is row * heads + (head - first_head)
    const std::int32_t* masked = nullptr;      // the sequence's masked positions and their end: a span's
    const std::int32_t* masked_end = nullptr;  // functions may not stand in an instruction set's file
    const AttentionScratch* at = nullptr;
    float* scratch = nullptr;  // at->floats of its own, aligned to 64 bytes
};

// Cuts the call into tasks and runs `attend` on each, over threads.
void attend_all(const AttentionArgs& args, const Execution& execution, const AttentionTiles& tiles,
                void (*attend)(const AttentionTask&));

}  // namespace sluice::kernels::cpu
