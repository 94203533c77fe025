// The recorded truth of a small model: outputs of an independent float32 implementation.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::test {

// A dense array of a file: row-major.
template <class T>
struct Recorded {
    std::vector<T> values;
    std::vector<std::int64_t> shape;

    bool empty() const { return values.empty(); }
    // The last axis at the given outer index, flattened over the outer axes.
    const T* row(std::int64_t index) const { return values.data() + index * shape.back(); }
};

struct GoldenPrompt {
    std::string name;
    Recorded<std::int32_t> ids;         // [T]
    Recorded<float> logits;             // [T, V], of some models
    Recorded<float> last_logits;        // [V]
    Recorded<std::int32_t> top8_ids;    // [T, 8]
    Recorded<float> top8_logits;        // [T, 8]
    Recorded<float> token_nll;          // [T - 1]
    Recorded<float> hidden;             // [layers + 1 or layers, T, dim], short prompts only: the last states
    Recorded<std::int32_t> greedy_ids;  // [48]
    Recorded<float> greedy_margin;      // [48]
    Recorded<std::int32_t> router_ids;  // [moe layers, T, k]
    Recorded<float> router_weights;     // [moe layers, T, k]
    Recorded<float> router_gap;         // [moe layers or 1, T]
};

struct GoldenText {
    Recorded<std::int32_t> ids;  // [rows, T + 1]
    Recorded<float> token_nll;   // [rows, T]
};

struct Goldens {
    std::vector<GoldenPrompt> prompts;
    GoldenText perplexity;
};

// Reads tests/data/goldens/MODEL/goldens.h5. Grok's hold two kinds of outputs: with weights as the original
// code makes them, bfloat16(int8 * scale), and with suffix "_f32dq", with unrounded products.
Goldens read_goldens(const std::string& model, const std::string& suffix = "");

}  // namespace sluice::test
