// The one table of tensors: every name, full shape, and cut. The tools, the loader and the model all follow
// it.
#pragma once

#include "core/tensor.hpp"
#include "model/config.hpp"

#include <string>
#include <vector>

namespace sluice {

// How a tensor is divided between the slices of a checkpoint.
enum class Along : std::uint8_t {
    Common,  // not divided: every rank needs it
    Axis,    // along an axis, in whole units
    Expert,  // whole, in the slice of its expert
};

struct Cut {
    Along along = Along::Common;
    int axis = 0;
    std::int64_t unit = 1;  // never divided: a head's rows
};

struct TensorSpec {
    std::string name;  // "/layers/3/attention/q_b"
    Shape full;
    bool quantizable = false;   // a matrix that a quantised checkpoint stores in blocks with scales
    bool row_parallel = false;  // its inputs are what the slices divide, its products partial sums
    Cut cut{};
    int expert = -1;  // with Along::Expert
    int experts = 0;
};

// Every tensor of a model, in the order of use.
std::vector<TensorSpec> tensor_catalog(const ModelConfig& config);

// The tensors of the layers for multi-token prediction (DeepSeek-V3, arXiv:2412.19437, 2.2), which generation
// does without: "/mtp/61/attention/q_b" and so on, numbered after the last layer and like it; beside them the
// module's own, such as "/mtp/61/join".
std::vector<TensorSpec> prediction_catalog(const ModelConfig& config);

// The block that one scale of a quantised tensor stands for; none where it is not quantised.
struct Block {
    int rows = 0, cols = 0;
    bool operator==(const Block&) const = default;
};
Block block_of(const TensorSpec& tensor, const Quantization& quantization);

// How many blocks of `block` cover `length`.
constexpr std::int64_t blocks(std::int64_t length, int block) { return (length + block - 1) / block; }

// The blocks of a tensor seen as a matrix [shape[0], the rest], one scale each: [0, 0] without blocks.
Shape scale_grid(const Shape& tensor, const Block& block);

// A half-open range.
struct Range {
    std::int64_t begin = 0, end = 0;
    std::int64_t size() const { return end - begin; }
    bool operator==(const Range&) const = default;
};

// Empty, at the later begin, where they have none.
constexpr Range common_part(const Range& a, const Range& b) {
    const std::int64_t begin = a.begin > b.begin ? a.begin : b.begin;
    const std::int64_t end = a.end < b.end ? a.end : b.end;
    return {begin, end > begin ? end : begin};
}

// Part `index` of `count` of `total` units, as even as whole units allow: [total * index / count, ...).
constexpr Range part_of(std::int64_t total, int index, int count) {
    return {total * index / count, total * (index + 1) / count};
}

// What slice `slice` of `slices` holds along the tensor's cut axis: all of it for Common, all or nothing for
// Expert.
Range slice_range(const TensorSpec& tensor, int slice, int slices);

// The full shape with the cut axis narrowed to the slice. Zero extent: the slice holds nothing of it.
Shape slice_shape(const TensorSpec& tensor, int slice, int slices);

// Whether `slices` gives every slice a part of every cut tensor; if not, the name of one that fails.
bool can_slice(const ModelConfig& config, int slices, std::string* why);

// The largest power of two up to 8 that can_slice allows.
int default_slices(const ModelConfig& config);

}  // namespace sluice
