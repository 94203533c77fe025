// Products as the kernels take them: a batch of weights of one shape, by value. A job is a batch of one; the
// heads of absorbed attention are one batch, and so are a layer's experts.
#pragma once

#include "kernels/args.hpp"
#include "kernels/cuda/weight.hpp"
#include "kernels/execution.hpp"

#include <cstdint>

namespace sluice::kernels::cuda {

inline constexpr int kMostWeights = 256;
// Of the largest tile: rows, and outputs. Fewer rows take tiles of fewer.
inline constexpr int kLargeTile = 128;
inline constexpr int kMostRowsOfSmallTiles = 64;
// Parts of k keep processors busy where tiles are few. Where there are tiles for half of them (of an H200),
// the parts' sums cost more to write and to read again.
inline constexpr int kTilesForTogether = 66;

struct Batch {
    WeightShape shape;
    Outputs outputs = Outputs::Plain;
    Activation activation = Activation::Silu;
    int splits = 1;         // of each segment
    bool together = false;  // a block takes all parts of a segment, one after the other
    int weights = 0;
    int rows = 0;                           // of each weight; where there are offsets, room for those of all
    int likely_rows = 0;                    // of a weight
    const std::int32_t* offsets = nullptr;  // [weights + 1]: which rows are a weight's; or null
    // Row r of weight w is row gather[r] (or r) of x + w * x_weight_stride.
    const float* x = nullptr;
    const std::int32_t* gather = nullptr;
    std::int64_t x_stride = 0, x_weight_stride = 0;
    float* out = nullptr;
    std::int64_t out_stride = 0, out_weight_stride = 0, out_segment_stride = 0;
    // Scratch: rows as tensor cores take them, [weights * rows][x_row_bytes()], and the pieces' sums,
    // [pieces][weights * rows][outputs], where they are not the outputs already.
    std::byte* converted = nullptr;
    float* sums = nullptr;
    const std::byte* weight[kMostWeights] = {};
    bool marked = false;  // whether some of them has a mark that is no 1
    // Rows are converted to codes of e4m3, for tensor cores that multiply codes of weights as they are; else
    // to bfloat16, which takes more: scratch is planned for that, and run_batch() decides.
    bool coded_rows = false;

    constexpr int all_rows() const { return offsets == nullptr ? weights * rows : rows; }
    constexpr int sums_of_segment() const { return together ? 1 : splits; }
    constexpr bool sums_are_outputs() const { return outputs == Outputs::Plain && sums_of_segment() == 1; }
    constexpr int pieces() const { return shape.segments * sums_of_segment(); }
};
static_assert(sizeof(Batch) <= 4096, "more than a kernel's parameters may be");

// A stage of a converted row: bfloat16 values or codes, and where the weight has codes 16 bytes that begin
// with the row's scale in the k block.
constexpr int x_stage_bytes(Format format, bool coded_rows) {
    return stage_width(format) * (coded_rows ? 1 : 2) + (is_coded(format) ? 16 : 0);
}
constexpr std::int64_t x_row_bytes(const WeightShape& shape, bool coded_rows) {
    return std::int64_t{shape.stages} * x_stage_bytes(shape.format, coded_rows);
}

// Which tensor-core instruction multiplies: that of every GPU, or Hopper's own. Their bits may differ.
enum class Instruction : std::uint8_t { MmaSync, Wgmma };

// All of what follows, with scratch from the workspace.
void run_batch(Batch& batch, const Execution& execution, Instruction by = Instruction::MmaSync);

// Fills `converted`.
void convert_rows(const Batch& batch, const Execution& execution);
// The pieces' sums, to `sums` or to the outputs. The last is for products in float32, which take x as it
// is.
void multiply_bf16(const Batch& batch, const Execution& execution);
void multiply_fp8(const Batch& batch, const Execution& execution);
void multiply_int8(const Batch& batch, const Execution& execution);
void multiply_wgmma_bf16(const Batch& batch, const Execution& execution);
void multiply_wgmma_fp8(const Batch& batch, const Execution& execution);
void multiply_wgmma_codes(const Batch& batch, const Execution& execution);  // of coded rows
void multiply_wgmma_int8(const Batch& batch, const Execution& execution);
void multiply_f32(const Batch& batch, const Execution& execution);
// Makes the outputs of the sums.
void finish_rows(const Batch& batch, const Execution& execution);

}  // namespace sluice::kernels::cuda
