// A weight packed for the CUDA kernels: rows of values in device memory, k side by side.
//
// A row is cut in stages of kStageBytes, which is what a block of threads loads of a row at once. Every k
// block begins with a stage of its own, padded with zeros, so that a stage belongs to one block. Behind the
// values lie the scales, float32 per (k block, output) or, where the blocks of outputs allow it, per (k
// block, sixteen outputs); and of e4m3 the marks, float32 per (segment, output): a NaN is stored as code 0,
// and its mark is NaN; all others are 1, and sums are multiplied with them in the end.
#pragma once

#include "kernels/cuda/memory.hpp"
#include "kernels/weight.hpp"

#include <algorithm>
#include <cstdint>

namespace sluice::kernels::cuda {

enum class Format : std::uint8_t { Bf16, Fp8, Int8, F32 };

inline constexpr int kStageBytes = 128;
inline constexpr int kMostSegments = 32;
inline constexpr int kOutputsOfScale = 16;  // where several share one: those of a tensor core's tile

constexpr int bytes_of(Format format) { return format == Format::F32 ? 4 : format == Format::Bf16 ? 2 : 1; }
constexpr bool is_coded(Format format) { return format == Format::Fp8 || format == Format::Int8; }
// Elements of k in a stage.
constexpr int stage_width(Format format) { return kStageBytes / bytes_of(format); }

// What of a segment belongs to one k block; columns count from the segment's first.
struct KBlock {
    int first_stage, first_col, end_col;
};

// One k segment. Its first and its last block may be narrower than the others.
struct Segment {
    int number = 0;
    int first_stage = 0, stages = 0;
    int first_block = 0, blocks = 0;
    int first_col = 0, cols = 0;
    int lead_cols = 0, lead_stages = 0;    // of the first block
    int block_cols = 0, block_stages = 0;  // of those after it
    bool operator==(const Segment&) const = default;

    // `stage` counts from the segment's first.
    constexpr int block_of(int stage) const {
        return stage < lead_stages ? 0 : 1 + (stage - lead_stages) / block_stages;
    }
    constexpr KBlock block(int b) const {
        if (b == 0) return {0, 0, lead_cols};
        const int first = lead_cols + (b - 1) * block_cols;
        const int end = first + block_cols;
        return {lead_stages + (b - 1) * block_stages, first, end < cols ? end : cols};
    }
};

// All that weights of one shape share. Kernels take it by value.
struct WeightShape {
    Format format = Format::Bf16;
    Products products = Products::Bf16;
    bool power_of_two_scales = false;
    int rows = 0;         // outputs
    int padded_rows = 0;  // of the scales and marks
    bool shared_scales = false;
    int stages = 0, blocks = 0;
    // Each segment's stages are cut in this many parts, whose sums are added in order: a matter of the shape
    // alone, so that few outputs still keep all of a GPU busy. Experts do without, for there are many.
    int splits = 1;
    int segments = 1;
    Segment segment[kMostSegments];

    // Quick, for it is asked of every expert of every layer: no more of the segments than there are.
    bool operator==(const WeightShape& other) const {
        return format == other.format && products == other.products && rows == other.rows &&
               power_of_two_scales == other.power_of_two_scales && shared_scales == other.shared_scales &&
               stages == other.stages && segments == other.segments &&
               std::equal(segment, segment + segments, other.segment);
    }

    constexpr std::int64_t row_bytes() const { return std::int64_t{stages} * kStageBytes; }
    constexpr std::int64_t scales_at() const { return rows * row_bytes(); }
    // Of a k block, or the number of an output's.
    constexpr int scales() const { return scale_of(padded_rows); }
    constexpr int scale_of(int output) const { return shared_scales ? output / kOutputsOfScale : output; }
    constexpr std::int64_t marks_at() const {
        return scales_at() + (is_coded(format) ? std::int64_t{4} * blocks * scales() : 0);
    }
    constexpr std::int64_t bytes() const {
        return marks_at() + (format == Format::Fp8 ? std::int64_t{4} * segments * padded_rows : 0);
    }
};

class CudaWeight final : public PackedWeight {
public:
    WeightShape shape;
    bool marked = false;                // some output has a NaN
    std::shared_ptr<std::byte> memory;  // none where only sizes were asked for
};

// A weight without memory yet. Needs no device.
std::shared_ptr<CudaWeight> lay_out(const PackArgs& args);

}  // namespace sluice::kernels::cuda
