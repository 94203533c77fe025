// The arguments of every operation: plain structs of sizes and borrowed pointers. All matrices are row-major
// and float32 unless said otherwise; strides count elements. Kernels know nothing of configs, ranks, files or
// owners.
//
// Every kernel promises: an output row depends on its own inputs alone, and is summed in an order that is the
// same whatever other rows share the call and however many threads run it.
#pragma once

#include "core/dtype.hpp"
#include "core/features.hpp"
#include "kernels/weight.hpp"

#include <cstdint>
#include <limits>
#include <span>

namespace sluice::kernels {

using sluice::Activation;
using sluice::RouterSpec;

// Tokens a KV page holds, and the width of the blocks in which softmax is summed.
inline constexpr int kPageTokens = 64;

// out[r, :] = scale * table[ids[r] - first_id, :], or zeros where the id is another rank's. Zeros are +0.
struct EmbedArgs {
    const std::int32_t* ids = nullptr;  // [rows], global ids
    const void* table = nullptr;        // [local_vocab, dim], dense
    DType table_dtype = DType::BF16;    // or F32
    std::int64_t rows = 0, first_id = 0, local_vocab = 0, dim = 0;
    float scale = 1;
    float* out = nullptr;  // [rows, dim], dense
};

// out = x / sqrt(mean(x^2) + eps) * gain, by rows (RMSNorm, arXiv:1910.07467).
struct RmsNormArgs {
    const float* x = nullptr;
    std::int64_t x_stride = 0;
    const float* gain = nullptr;  // [dim]
    std::int64_t rows = 0, dim = 0;
    float eps = 1e-6F;
    float* out = nullptr;  // may be x
    std::int64_t out_stride = 0;
};

// The seam between two blocks: x += post_gain ? rms_norm(delta, post_gain) : delta;  out = rms_norm(x,
// next_gain).
struct SeamArgs {
    float* x = nullptr;                // [rows, dim], dense: the residual stream
    const float* delta = nullptr;      // [rows, dim], dense
    const float* post_gain = nullptr;  // [dim] or null
    const float* next_gain = nullptr;  // [dim]
    std::int64_t rows = 0, dim = 0;
    float eps = 1e-6F;
    float* out = nullptr;  // [rows, dim], dense
};

// Rows of x times one weight: out[s][i, n] = sum over k in segment s of x[gather ? gather[i] : i, k] * W[n,
// k].
struct ProductJob {
    const PackedWeight* weight = nullptr;
    const float* x = nullptr;
    std::int64_t x_stride = 0;
    const std::int32_t* gather = nullptr;  // [rows] or null
    std::int64_t rows = 0;
    float* out = nullptr;
    std::int64_t out_stride = 0;
    std::int64_t segment_stride = 0;  // elements from one segment's output to the next, where they are plain
};

// What becomes of a job's outputs.
enum class Outputs : std::uint8_t {
    Plain,
    // out[i, n] = the segments' outputs added as CombineArgs adds slices: one product on one rank, the same
    // bits however many segments another rank holds.
    SummedSegments,
    // out[i, n] = activation(output n) * output (n + rows of the weight / 2), of a weight with one segment.
    Gated,
};

// Many products at once: one job for a dense layer, one a head for absorbed MLA, one a touched expert for
// MoE.
struct ProductArgs {
    std::span<const ProductJob> jobs;
    Outputs outputs = Outputs::Plain;
    Activation activation = Activation::Silu;  // of the gate
};

// The experts of a layer: for e, rows [offsets[e], offsets[e + 1]) of out are those rows of x, or the rows
// tokens[.] of it, times expert e. Experts have one shape, and one segment.
struct ExpertProductArgs {
    std::span<const Packed> experts;  // the host's
    const float* x = nullptr;
    std::int64_t x_stride = 0;
    const std::int32_t* tokens = nullptr;   // [most_rows] or null
    const std::int32_t* offsets = nullptr;  // [experts + 1], from 0, ascending
    std::int64_t most_rows = 0;             // at least the last offset: what out has room for
    // Experts that so many rows were spread over, on all ranks: how many come to one here. 0: these.
    std::int64_t spread_over = 0;
    Outputs outputs = Outputs::Plain;  // or Gated
    Activation activation = Activation::Silu;
    float* out = nullptr;
    std::int64_t out_stride = 0;
};

// Rotates pairs of x by the angles of each row's position (RoPE, arXiv:2104.09864). `out` may be x with its
// strides.
struct RopeArgs {
    const float* x = nullptr;  // head h of row r begins at x + r * x_row_stride + h * x_head_stride
    std::int64_t x_row_stride = 0, x_head_stride = 0;
    float* out = nullptr;  // likewise
    std::int64_t out_row_stride = 0, out_head_stride = 0;
    std::int64_t rows = 0, heads = 0;
    std::int64_t dim = 0;                     // rotated width, even
    bool interleaved = true;                  // pairs (2i, 2i+1); else (i, i + dim/2)
    const std::int32_t* positions = nullptr;  // [rows]
    const float* table = nullptr;             // [positions, dim/2, 2]: cos, sin
};

// Columns of a matrix that are heads, side by side, rotated as RopeArgs says.
struct RotatedHeads {
    std::int64_t count = 0;                   // 0: nothing is rotated
    std::int64_t column = 0;                  // where the first one begins
    std::int64_t dim = 0;                     // width of a head, even
    bool interleaved = true;                  // pairs (2i, 2i+1); else (i, i + dim/2)
    const std::int32_t* positions = nullptr;  // [rows]
    const float* table = nullptr;             // [positions, dim/2, 2]: cos, sin
};

// Writes row r of x to slot slots[r] of the pages, its heads rotated on the way; a slot is page *
// kPageTokens + place in the page.
struct StoreRowsArgs {
    const float* x = nullptr;
    std::int64_t x_stride = 0, rows = 0, width = 0;
    const std::int32_t* slots = nullptr;  // [rows]
    void* pages = nullptr;                // [slots, page_row_stride]
    // Or F32, or F8E4M3: e4m3 codes without scales. Both round to nearest even, these saturating at +-448;
    // NaN stays NaN.
    DType page_dtype = DType::BF16;
    std::int64_t page_row_stride = 0;
    RotatedHeads rotated;  // as RopeArgs' float32 output, before it is rounded
};

// One sequence's rows of a step: they stand at positions [context - rows, context).
struct SequenceRows {
    std::int64_t first_row = 0, rows = 0;
    std::int64_t context = 0;             // positions stored once this step's rows are
    const std::int32_t* pages = nullptr;  // page of positions [64 i, 64 i + 64)
    // Positions whose keys count for nothing, ascending; any from `context` on are ignored.
    std::span<const std::int32_t> masked = {};
};

// The score of a masked key. A row that sees others gives it the weight 0; one that sees no other key weighs
// all it sees alike.
inline constexpr float kMaskedScore = -1e30F;

// Causal attention of every row over its own sequence's pages, softmax summed block after block of
// kPageTokens; a masked key's score is kMaskedScore whatever scale and soft cap make of it. MLA in absorbed
// form is one kv head whose values are the first columns of its keys (arXiv:2405.04434, 2.1).
struct AttentionArgs {
    const float* q = nullptr;  // [rows, heads, key_dim], dense
    std::span<const SequenceRows> sequences;
    // Position p's key of kv head h: keys + pages[p / 64] * page_stride + (p % 64) * row_stride + h *
    // head_stride.
    const void* keys = nullptr;
    const void* values = nullptr;    // the same strides; may point into keys
    DType page_dtype = DType::BF16;  // or F32, F8E4M3, as StoreRowsArgs leaves them
    std::int64_t page_stride = 0, row_stride = 0, key_head_stride = 0, value_head_stride = 0;
    std::int64_t heads = 0, kv_heads = 0, key_dim = 0,
                 value_dim = 0;  // head h reads kv head h * kv_heads / heads
    float scale = 1;
    float softcap = 0;     // 0: none; else c * tanh(score / c)
    float* out = nullptr;  // [rows, heads, value_dim], dense
    // What a GPU's sequences cannot tell the host: all rows and the greatest context.
    std::int64_t rows = 0, most_context = 0;
};

// x[r, i] += bias[i]
struct BiasArgs {
    const float* bias = nullptr;  // [width]
    float* x = nullptr;
    std::int64_t x_stride = 0, rows = 0, width = 0;
};

// out[r, i] = activation(x[r, i]) * x[r, width + i]
struct GateArgs {
    const float* x = nullptr;  // [rows, 2 * width], dense
    std::int64_t rows = 0, width = 0;
    Activation activation = Activation::Silu;
    float* out = nullptr;  // [rows, width], dense
};

// Selection is by score + bias, a group counting as the sum of its two best with a bias and as its best
// without; weights are the scores without bias. Ties take the lower index. Each row's experts come out
// ascending.
struct RouteArgs {
    const float* logits = nullptr;  // [rows, experts], dense
    const float* bias = nullptr;    // [experts] or null
    RouterSpec spec;
    std::int64_t rows = 0;
    std::int32_t* expert = nullptr;  // [rows, top_k]
    float* weight = nullptr;         // [rows, top_k]
};

// Sorts the (token, choice) pairs of the experts [first, first + count) by expert, then by token.
struct GroupArgs {
    const std::int32_t* expert = nullptr;  // [rows, top_k]
    std::int64_t rows = 0, top_k = 0;
    std::int32_t first = 0, count = 0;
    std::int32_t* token = nullptr;  // [<= rows * top_k]: the token of each grouped row
    std::int32_t* offsets =
        nullptr;  // [count + 1]: grouped rows of expert first + e are [offsets[e], offsets[e + 1])
    std::int32_t* place = nullptr;  // [rows, top_k]: the pair's grouped row, or -1
};

// Sums over the local slices: for slice s, v_s = (base ? base[s][r] : 0) + sum over the row's choices j whose
// expert is in [first_expert[s], first_expert[s + 1]), in order, of weight[r, j] * expert_rows[place[r, j]];
// then out[r] = bottom-up binary tree over s: ((v0 + v1) + (v2 + v3)) + ..., an odd last one passing up.
struct CombineArgs {
    std::int64_t rows = 0, dim = 0;
    int slices = 1;
    const float* base = nullptr;  // [slices][rows, dim], dense, or null
    // Routed part: null and top_k = 0 where there is none.
    const float* expert_rows = nullptr;  // [grouped rows, dim], dense
    const std::int32_t* expert = nullptr;
    const std::int32_t* place = nullptr;
    const float* weight = nullptr;
    std::int64_t top_k = 0;
    const std::int32_t* first_expert = nullptr;  // [slices + 1]
    float* out = nullptr;                        // [rows, dim], dense
};

// What a row asks of its logits.
struct VocabRow {
    std::int32_t row = 0;                // of logits
    float temperature = 1;               // > 0; for greedy any value
    float repetition_penalty = 1;        // seen tokens' logits: l > 0 ? l / p : l * p
    std::span<const std::int32_t> seen;  // distinct ids, ascending; used with a penalty only
    int candidates = 1;                  // best tokens to report per slice (at most the slice's width)
    std::uint64_t draw_key = 0;          // of the row's random numbers (see uniform() in random.hpp)
    int top = 0;                         // most likely tokens to report per slice, by their raw logits
    std::int32_t target = -1;            // the token whose raw logit its slice reports; -1: none
};

struct VocabCandidate {
    std::int32_t id = 0;
    float logit = 0;  // penalised, not divided by the temperature
    float raw = 0;    // as the model gave it
};

// The order of candidates, and of greedy choice. NaN comes last.
constexpr bool better(const VocabCandidate& a, const VocabCandidate& b) {
    constexpr float kLeast = -std::numeric_limits<float>::infinity();
    const float x = a.logit == a.logit ? a.logit : kLeast;
    const float y = b.logit == b.logit ? b.logit : kLeast;
    return x > y || (x == y && a.id < b.id);
}

// A seen token's logit under a repetition penalty (arXiv:1909.05858, 4.1).
constexpr float penalized(float logit, float penalty) {
    return logit > 0 ? logit / penalty : logit * penalty;
}

// What one slice of the vocabulary says of one row.
struct VocabSummary {
    float plain_max = 0;      // of the raw logits: for log-probabilities
    double plain_sum = 0;     // sum of exp(l - plain_max)
    float max = 0;            // of the penalised logits
    double sum = 0;           // sum of exp((l - max) / temperature)
    std::int32_t drawn = 0;   // id drawn from this slice alone, with probability exp((l - max) / temperature)
                              // / sum, by the random number of (draw_key, slice)
    float drawn_logit = 0;    // raw
    std::int32_t finite = 1;  // 0: a logit is NaN or +infinity
    // Raw, of the row's target; -infinity where the target is of another slice.
    float target_logit = -std::numeric_limits<float>::infinity();
};

// Summaries, best candidates (logit descending, ties to the lower id) and most likely tokens (the same
// without the penalty) of every row and local vocabulary slice.
struct VocabArgs {
    const float* logits = nullptr;  // [., local_vocab]
    std::int64_t stride = 0;
    std::span<const VocabRow> rows;
    std::span<const std::int32_t>
        first_id;         // [slices + 1]: global ids [first_id[s], first_id[s + 1]) of local slice s
    int first_slice = 0;  // global number of the first local slice
    std::int64_t widest_slice = 0;         // ids of the widest local slice; for devices alone
    VocabSummary* summaries = nullptr;     // [rows, slices]
    VocabCandidate* candidates = nullptr;  // [rows][slices][max_candidates]; unused tail: id -1
    int max_candidates = 1;
    VocabCandidate* top =
        nullptr;  // [rows][slices][max_top], by raw logit, which `logit` holds too; likewise
    int max_top = 0;
};

}  // namespace sluice::kernels
