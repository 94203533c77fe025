// The operations a decoder is made of: checked views in, the best fitting kernel of one family runs.
#pragma once

#include "backend/backend.hpp"
#include "backend/memory.hpp"
#include "backend/op_clock.hpp"
#include "core/tensor.hpp"
#include "kernels/args.hpp"
#include "kernels/kernel.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace sluice {

using kernels::Packed;
using kernels::PackedWeight;
using kernels::Products;

// A token's chosen experts, ascending, and their weights: [rows, top_k].
struct Routing {
    View expert;  // I32
    View weight;  // F32
};

// The (token, choice) pairs of the local experts, sorted by expert.
struct Grouping {
    View token;    // I32 [>= pairs]
    View offsets;  // I32 [experts + 1]
    View place;    // I32 [rows, top_k]
};

// Paged rows of one layer: [pages, kPageTokens, width].
struct PagedRows {
    ConstView pages;
    std::int64_t value_column = 0;  // where values begin in a row; keys begin at 0
};

struct AttentionShape {
    std::int64_t heads = 0, kv_heads = 0, key_dim = 0, value_dim = 0;
    float scale = 1, softcap = 0;
};

// A step's sequences, and what the host must know of them.
struct AttentionRows {
    // In the operations' memory, as are the pages and masked positions that they point to.
    std::span<const kernels::SequenceRows> sequences;
    std::int64_t most_context = 0;  // of a sequence
};

class Ops {
public:
    // `clock` is told of every operation when it has ended; null: nobody is. `device`: of a family that has
    // several.
    Ops(kernels::Family family, int threads, OpClock* clock = nullptr, int device = 0);

    kernels::Family family() const { return family_; }
    int threads() const { return execution_.threads; }
    // Every view that an operation is given lies in this memory. Where that is a device's, operations are
    // only queued when they return, each behind the one before.
    Memory& memory() const { return backend_->memory(); }
    // Of the host: what is copied often lies here.
    Memory& staging() const { return backend_->staging(); }
    // What operations wait in, as kernels::Execution takes it: for others that queue work between them.
    void* stream() const { return execution_.stream; }

    // Bytes of the host's memory to the operations', in turn with the operations: `from` must stay as it is
    // until synchronize(). Nothing where both are the same.
    void upload(const void* from, void* to, std::size_t bytes) const;
    // The other way; they are there when the call returns.
    void download(const void* from, void* to, std::size_t bytes) const;
    // Likewise, but there after synchronize() only.
    void queue_download(const void* from, void* to, std::size_t bytes) const;
    // Returns when all that was queued is done.
    void synchronize() const;
    // How often it was.
    std::uint64_t synchronizations() const { return synchronizations_; }
    // Whether the clock is told from now on: until this is first called it is. What this rank then cannot
    // record the others must not (Engine::run_by_operation).
    void tell_clock(bool tell) { tells_clock_ = tell; }
    // Whether operations return before they are done, and the host may do other things beside them.
    bool are_queued() const { return memory().place() != Place::Host; }
    // Whether operations can be recorded: where they are queued, and no clock is told of each.
    bool can_record() const { return !times() && are_queued(); }
    // What `queue` queues, not done but kept (Backend::record). ExitCode::Internal, saying what cannot be
    // recorded, for a copy between host and device, and where an operation needs more scratch memory than
    // there is.
    std::unique_ptr<Recording> record(const std::function<void()>& queue) const;
    // The operations' scratch memory: recordings are of no use any more when it has moved, as it does where
    // an operation needs more than there is.
    const void* workspace() const { return workspace_.view().data; }
    // At least so much of it, before an operation asks.
    void claim_workspace(std::size_t bytes) const;
    // The most that an operation needed yet, besides its arrays.
    std::size_t workspace_bytes() const { return most_needed_; }
    // What this backend can do at most; `bytes` as Backend::ceilings takes them.
    std::unique_ptr<CeilingMeter> ceilings(std::size_t bytes) const {
        return backend_->ceilings(bytes, threads());
    }
    // A tensor in the operations' memory; `fill` writes its values, through a view in the host's.
    Tensor filled(DType dtype, const Shape& shape, const std::function<void(View)>& fill) const;

    Packed pack(const kernels::PackArgs& args) const;
    // For the weights that are packed while the answer lives: as Backend does.
    std::shared_ptr<void> claim_for_weights(std::size_t bytes) const {
        return backend_->claim_for_weights(bytes);
    }

    // ids I32 [rows]; table [local_vocab, dim]; out [rows, dim]: scale times the table's rows, zeros for ids
    // outside it.
    void embed(ConstView ids, ConstView table, std::int64_t first_id, float scale, View out) const;
    // x, out [rows, dim], any row stride; may be the same.
    void rms_norm(ConstView x, ConstView gain, float eps, View out) const;
    // x += post_gain ? rms_norm(delta, post_gain) : delta; out = rms_norm(x, next_gain). All [rows, dim],
    // dense.
    void seam(View x, ConstView delta, std::optional<ConstView> post_gain, ConstView next_gain, float eps,
              View out) const;
    // x += bias, by rows. bias [width]; x [rows, width], any row stride.
    void add_bias(ConstView bias, View x) const;

    // x [rows, cols] -> out [segments * rows, weight.rows]: segment s in rows [s * rows, (s + 1) * rows).
    // With `gather` (I32), row i is x's row gather[i].
    void product(ConstView x, const PackedWeight& weight, View out,
                 std::optional<ConstView> gather = {}) const;
    // The same, the segments' products added in a tree, as combine adds slices: out [rows, weight.rows].
    void summed_product(ConstView x, const PackedWeight& weight, View out) const;
    // activation(first half of the outputs) * the other half: out [rows, weight.rows / 2].
    void gated_product(ConstView x, const PackedWeight& weight, Activation activation, View out) const;
    // Head h: columns [h * x_width, + cols) of x -> columns [h * out_width, + rows) of out.
    void head_product(ConstView x, std::int64_t x_width, std::span<const Packed> heads,
                      std::int64_t out_width, View out) const;
    // Grouped rows: expert e's rows [offsets[e], offsets[e + 1]) of out, from the same rows of x, or, with
    // `tokens`, from rows tokens[i] of x; gated as by gated_product where an activation is given. Experts
    // without rows cost nothing. `spread_over`: experts of all ranks that the rows of `out` come from.
    void expert_product(ConstView x, std::optional<ConstView> tokens, ConstView offsets,
                        std::span<const Packed> experts, std::optional<Activation> gate,
                        std::int64_t spread_over, View out) const;

    // Head h of a row: x columns [h * x_width, + dim) rotated into out columns [h * out_width, + dim).
    struct Heads {
        std::int64_t count = 1, x_width = 0, out_width = 0;
    };
    void rope(ConstView x, Heads heads, std::int64_t dim, bool interleaved, ConstView positions,
              ConstView table, View out) const;
    // Heads of a row, side by side from `column` on. Where there are none, the rest says nothing.
    struct Rotation {
        std::int64_t heads = 0, column = 0, dim = 0;
        bool interleaved = true;
        ConstView positions, table;  // as rope takes them
    };
    // x [rows, width], its heads rotated on the way, into the rows `slots` of pages [pages, kPageTokens,
    // width].
    void store_rows(ConstView x, ConstView slots, const Rotation& rotation, View pages) const;
    // q [rows, heads * key_dim] -> out [rows, heads * value_dim].
    void attention(ConstView q, const AttentionRows& rows, const PagedRows& cache,
                   const AttentionShape& shape, View out) const;

    void route(ConstView logits, std::optional<ConstView> bias, const RouterSpec& spec,
               const Routing& out) const;
    void group(const Routing& routing, std::int32_t first, std::int32_t count, const Grouping& out) const;
    // out = tree over the slices of partials [slices * rows, dim] (null: there are none), each with its
    // slice's routed experts added.
    void combine(std::optional<ConstView> partials, ConstView expert_rows, const Routing& routing,
                 const Grouping& grouping, std::span<const std::int32_t> first_expert, View out) const;

    // out [width] = the sum of parts [count, width], in the order of combine's slices.
    void add_parts(ConstView parts, View out) const;

    void vocab(const kernels::VocabArgs& args) const;

    // What others queue between the operations: the clock is told of it as of one. `name` is a string
    // literal.
    void timed(std::string_view name, const std::function<void()>& queue) const;

private:
    bool times() const { return timer_ != nullptr && tells_clock_; }
    template <class Args>
    void run(std::string_view op, const Args& args) const;
    // For one operation.
    kernels::Execution with_workspace(std::size_t bytes) const;
    // That nothing is being recorded.
    void expect_running(std::string_view what) const;
    // That the operations can reach these.
    void check_place(std::string_view op, std::initializer_list<ConstView> views) const;

    kernels::Family family_;
    std::unique_ptr<Backend> backend_;
    kernels::Execution execution_;
    mutable std::uint64_t synchronizations_ = 0;
    mutable Tensor workspace_;
    mutable std::size_t most_needed_ = 0;
    mutable bool records_ = false;
    std::unique_ptr<OpTimer> timer_;  // null: there is no clock
    bool tells_clock_ = true;
};

}  // namespace sluice
