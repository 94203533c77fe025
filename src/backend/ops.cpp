#include "backend/ops.hpp"

#include "core/error.hpp"

#include <algorithm>

namespace sluice {
namespace {

void check(const ConstView& view, DType dtype, const Shape& shape, std::string_view what) {
    expect(view.dtype == dtype && view.shape == shape, "{}: {} {}, expected {} {}", what, name_of(view.dtype),
           view.shape.text(), name_of(dtype), shape.text());
}

void check_dense(const ConstView& view, std::string_view what) {
    expect(view.shape.rank() == 1 || view.row_stride == view.shape[1], "{}: rows must be dense", what);
}

void check_matrix(const ConstView& view, std::string_view what) {
    expect(view.dtype == DType::F32 && view.shape.rank() == 2, "{}: {} {}, expected a float32 matrix", what,
           name_of(view.dtype), view.shape.text());
}

// This thread's own, so that a step allocates none.
std::vector<kernels::ProductJob>& cleared_jobs() {
    thread_local std::vector<kernels::ProductJob> jobs;
    jobs.clear();
    return jobs;
}

}  // namespace

template <class Args>
void Ops::run(std::string_view op, const Args& args) const {
    const kernels::Kernel<Args>& kernel = kernels::choose(family_, args, kernels::this_machine());
    const kernels::Execution execution = with_workspace(kernels::workspace_of(kernel, args));
    if (times()) timer_->begin(op);
    kernel.run(args, execution);
    if (times()) timer_->end();
}

void Ops::timed(std::string_view name, const std::function<void()>& queue) const {
    if (times()) timer_->begin(name);
    queue();
    if (times()) timer_->end();
}

Packed Ops::pack(const kernels::PackArgs& args) const {
    Packed packed;
    kernels::PackArgs filled = args;
    filled.out = &packed;
    run("pack", filled);
    return packed;
}

void Ops::embed(ConstView ids, ConstView table, std::int64_t first_id, float scale, View out) const {
    check_place("embed", {ids, table, out});
    const std::int64_t rows = ids.shape[0];
    check(ids, DType::I32, {rows}, "embed ids");
    check(out, DType::F32, {rows, table.shape[1]}, "embed out");
    check_dense(table, "embed table");
    check_dense(out, "embed out");
    kernels::EmbedArgs args;
    args.ids = ids.as<std::int32_t>();
    args.table = table.data;
    args.table_dtype = table.dtype;
    args.rows = rows;
    args.first_id = first_id;
    args.local_vocab = table.shape[0];
    args.dim = table.shape[1];
    args.scale = scale;
    args.out = out.as<float>();
    run("embed", args);
}

void Ops::rms_norm(ConstView x, ConstView gain, float eps, View out) const {
    check_place("rms_norm", {x, gain, out});
    check_matrix(x, "rms_norm x");
    check(gain, DType::F32, {x.shape[1]}, "rms_norm gain");
    check(out, DType::F32, x.shape, "rms_norm out");
    run("rms_norm", kernels::RmsNormArgs{x.as<float>(), x.row_stride, gain.as<float>(), x.shape[0],
                                         x.shape[1], eps, out.as<float>(), out.row_stride});
}

void Ops::seam(View x, ConstView delta, std::optional<ConstView> post_gain, ConstView next_gain, float eps,
               View out) const {
    check_place("seam", {x, delta, post_gain.value_or(next_gain), next_gain, out});
    check_matrix(x, "seam x");
    check(delta, DType::F32, x.shape, "seam delta");
    check(out, DType::F32, x.shape, "seam out");
    if (post_gain) check(*post_gain, DType::F32, {x.shape[1]}, "seam post gain");
    check(next_gain, DType::F32, {x.shape[1]}, "seam gain");
    check_dense(x, "seam x");
    check_dense(delta, "seam delta");
    check_dense(out, "seam out");
    kernels::SeamArgs args;
    args.x = x.as<float>();
    args.delta = delta.as<float>();
    args.post_gain = post_gain ? post_gain->as<float>() : nullptr;
    args.next_gain = next_gain.as<float>();
    args.rows = x.shape[0];
    args.dim = x.shape[1];
    args.eps = eps;
    args.out = out.as<float>();
    run("seam", args);
}

void Ops::add_bias(ConstView bias, View x) const {
    check_place("add_bias", {bias, x});
    check_matrix(x, "add_bias x");
    check(bias, DType::F32, {x.shape[1]}, "add_bias bias");
    run("add_bias", kernels::BiasArgs{bias.as<float>(), x.as<float>(), x.row_stride, x.shape[0], x.shape[1]});
}

void Ops::product(ConstView x, const PackedWeight& weight, View out, std::optional<ConstView> gather) const {
    check_place("product", {x, out, gather.value_or(x)});
    check_matrix(x, "product x");
    const std::int64_t rows = gather ? gather->shape[0] : x.shape[0];
    expect(x.shape[1] == weight.cols, "product: x {} with a weight of {} columns", x.shape.text(),
           weight.cols);
    check(out, DType::F32, {weight.segments * rows, weight.rows}, "product out");
    const kernels::ProductJob job{
        &weight, x.as<float>(),   x.row_stride,   gather ? gather->as<std::int32_t>() : nullptr,
        rows,    out.as<float>(), out.row_stride, rows * out.row_stride};
    run("product", kernels::ProductArgs{{&job, 1}});
}

void Ops::summed_product(ConstView x, const PackedWeight& weight, View out) const {
    check_place("summed_product", {x, out});
    check_matrix(x, "summed_product x");
    expect(x.shape[1] == weight.cols, "summed_product: x {} with a weight of {} columns", x.shape.text(),
           weight.cols);
    check(out, DType::F32, {x.shape[0], weight.rows}, "summed_product out");
    const kernels::ProductJob job{&weight,    x.as<float>(),   x.row_stride,   nullptr,
                                  x.shape[0], out.as<float>(), out.row_stride, 0};
    run("summed_product", kernels::ProductArgs{{&job, 1}, kernels::Outputs::SummedSegments});
}

void Ops::gated_product(ConstView x, const PackedWeight& weight, Activation activation, View out) const {
    check_place("gated_product", {x, out});
    check_matrix(x, "gated_product x");
    expect(x.shape[1] == weight.cols && weight.segments == 1 && weight.rows % 2 == 0,
           "gated_product: x {} with a weight of {} rows, {} columns, {} segments", x.shape.text(),
           weight.rows, weight.cols, weight.segments);
    check(out, DType::F32, {x.shape[0], weight.rows / 2}, "gated_product out");
    const kernels::ProductJob job{&weight,    x.as<float>(),   x.row_stride,   nullptr,
                                  x.shape[0], out.as<float>(), out.row_stride, 0};
    run("gated_product", kernels::ProductArgs{{&job, 1}, kernels::Outputs::Gated, activation});
}

void Ops::head_product(ConstView x, std::int64_t x_width, std::span<const Packed> heads,
                       std::int64_t out_width, View out) const {
    check_place("head_product", {x, out});
    check_matrix(x, "head_product x");
    check_matrix(out, "head_product out");
    const auto count = static_cast<std::int64_t>(heads.size());
    expect(x.shape[0] == out.shape[0] && x.shape[1] >= (count - 1) * x_width + heads[0]->cols &&
               out.shape[1] >= (count - 1) * out_width + heads[0]->rows,
           "head_product: x {}, out {}, {} heads", x.shape.text(), out.shape.text(), count);
    std::vector<kernels::ProductJob>& jobs = cleared_jobs();
    for (std::int64_t h = 0; h < count; ++h) {
        jobs.push_back({heads[static_cast<std::size_t>(h)].get(), x.as<float>() + h * x_width, x.row_stride,
                        nullptr, x.shape[0], out.as<float>() + h * out_width, out.row_stride, 0});
    }
    run("head_product", kernels::ProductArgs{jobs});
}

void Ops::expert_product(ConstView x, std::optional<ConstView> tokens, ConstView offsets,
                         std::span<const Packed> experts, std::optional<Activation> gate,
                         std::int64_t spread_over, View out) const {
    check_place("expert_product", {x, tokens.value_or(x), offsets, out});
    check_matrix(x, "expert_product x");
    check_matrix(out, "expert_product out");
    check(offsets, DType::I32, {static_cast<std::int64_t>(experts.size()) + 1}, "expert_product offsets");
    expect(!tokens || tokens->shape[0] >= out.shape[0], "expert_product: {} tokens, out {}",
           tokens ? tokens->shape[0] : 0, out.shape.text());
    kernels::ExpertProductArgs args;
    args.experts = experts;
    args.x = x.as<float>();
    args.x_stride = x.row_stride;
    args.tokens = tokens ? tokens->as<std::int32_t>() : nullptr;
    args.offsets = offsets.as<std::int32_t>();
    args.most_rows = out.shape[0];
    args.spread_over = spread_over;
    if (gate) {
        args.outputs = kernels::Outputs::Gated;
        args.activation = *gate;
    }
    args.out = out.as<float>();
    args.out_stride = out.row_stride;
    run("expert_product", args);
}

void Ops::rope(ConstView x, Heads heads, std::int64_t dim, bool interleaved, ConstView positions,
               ConstView table, View out) const {
    check_place("rope", {x, positions, table, out});
    check_matrix(x, "rope x");
    check_matrix(out, "rope out");
    check(positions, DType::I32, {x.shape[0]}, "rope positions");
    expect(x.shape[0] == out.shape[0] && x.shape[1] >= (heads.count - 1) * heads.x_width + dim &&
               out.shape[1] >= (heads.count - 1) * heads.out_width + dim && table.shape[1] == dim,
           "rope: x {}, out {}, {} heads of {}", x.shape.text(), out.shape.text(), heads.count, dim);
    kernels::RopeArgs args;
    args.x = x.as<float>();
    args.x_row_stride = x.row_stride;
    args.x_head_stride = heads.x_width;
    args.out = out.as<float>();
    args.out_row_stride = out.row_stride;
    args.out_head_stride = heads.out_width;
    args.rows = x.shape[0];
    args.heads = heads.count;
    args.dim = dim;
    args.interleaved = interleaved;
    args.positions = positions.as<std::int32_t>();
    args.table = table.as<float>();
    run("rope", args);
}

void Ops::store_rows(ConstView x, ConstView slots, const Rotation& rotation, View pages) const {
    check_place("store_rows", {x, slots, pages});
    check_matrix(x, "store_rows x");
    check(slots, DType::I32, {x.shape[0]}, "store_rows slots");
    expect(pages.shape.rank() == 3 && x.shape[1] == pages.shape[2], "store_rows: x {}, pages {}",
           x.shape.text(), pages.shape.text());
    const auto& [heads, column, dim, interleaved, positions, table] = rotation;
    if (heads > 0) {
        check_place("store_rows", {positions, table});
        check(positions, DType::I32, {x.shape[0]}, "store_rows positions");
        expect(column + heads * dim <= x.shape[1] && table.shape[1] == dim,
               "store_rows: x {}, {} heads of {} at {}, table {}", x.shape.text(), heads, dim, column,
               table.shape.text());
    }
    kernels::StoreRowsArgs args;
    args.x = x.as<float>();
    args.x_stride = x.row_stride;
    args.rows = x.shape[0];
    args.width = x.shape[1];
    args.slots = slots.as<std::int32_t>();
    args.pages = pages.data;
    args.page_dtype = pages.dtype;
    args.page_row_stride = pages.shape[2];
    args.rotated = {heads, column, dim, interleaved, positions.as<std::int32_t>(), table.as<float>()};
    run("store_rows", args);
}

void Ops::attention(ConstView q, const AttentionRows& rows, const PagedRows& cache,
                    const AttentionShape& shape, View out) const {
    check_place("attention", {q, cache.pages, out});
    check(q, DType::F32, {q.shape[0], shape.heads * shape.key_dim}, "attention q");
    check(out, DType::F32, {q.shape[0], shape.heads * shape.value_dim}, "attention out");
    check_dense(q, "attention q");
    check_dense(out, "attention out");
    const ConstView& pages = cache.pages;
    kernels::AttentionArgs args;
    args.q = q.as<float>();
    args.sequences = rows.sequences;
    args.rows = q.shape[0];
    args.most_context = rows.most_context;
    args.keys = pages.data;
    args.values = pages.as<std::byte>() + static_cast<std::size_t>(cache.value_column) * size_of(pages.dtype);
    args.page_dtype = pages.dtype;
    args.row_stride = pages.shape[2];
    args.page_stride = kernels::kPageTokens * args.row_stride;
    args.key_head_stride = shape.key_dim;
    args.value_head_stride = shape.value_dim;
    args.heads = shape.heads;
    args.kv_heads = shape.kv_heads;
    args.key_dim = shape.key_dim;
    args.value_dim = shape.value_dim;
    args.scale = shape.scale;
    args.softcap = shape.softcap;
    args.out = out.as<float>();
    run("attention", args);
}

void Ops::route(ConstView logits, std::optional<ConstView> bias, const RouterSpec& spec,
                const Routing& out) const {
    check_place("route", {logits, bias.value_or(logits), out.expert, out.weight});
    const std::int64_t rows = logits.shape[0];
    check(logits, DType::F32, {rows, spec.experts}, "route logits");
    check(out.expert, DType::I32, {rows, spec.top_k}, "route expert");
    check(out.weight, DType::F32, {rows, spec.top_k}, "route weight");
    if (bias) check(*bias, DType::F32, {spec.experts}, "route bias");
    run("route", kernels::RouteArgs{logits.as<float>(), bias ? bias->as<float>() : nullptr, spec, rows,
                                    out.expert.as<std::int32_t>(), out.weight.as<float>()});
}

void Ops::group(const Routing& routing, std::int32_t first, std::int32_t count, const Grouping& out) const {
    check_place("group", {routing.expert, out.token, out.offsets, out.place});
    const Shape& pairs = routing.expert.shape;
    check(out.place, DType::I32, pairs, "group place");
    check(out.offsets, DType::I32, {count + 1}, "group offsets");
    expect(out.token.shape[0] >= pairs.elements(), "group: room for {} of {} pairs", out.token.shape[0],
           pairs.elements());
    run("group", kernels::GroupArgs{routing.expert.as<std::int32_t>(), pairs[0], pairs[1], first, count,
                                    out.token.as<std::int32_t>(), out.offsets.as<std::int32_t>(),
                                    out.place.as<std::int32_t>()});
}

void Ops::combine(std::optional<ConstView> partials, ConstView expert_rows, const Routing& routing,
                  const Grouping& grouping, std::span<const std::int32_t> first_expert, View out) const {
    check_place("combine", {partials.value_or(expert_rows), expert_rows, routing.expert, routing.weight,
                            grouping.place, out});
    const auto slices = static_cast<int>(first_expert.size()) - 1;
    if (partials) check(*partials, DType::F32, {slices * out.shape[0], out.shape[1]}, "combine partials");
    check_dense(expert_rows, "combine experts");
    check_dense(out, "combine out");
    kernels::CombineArgs args;
    args.rows = out.shape[0];
    args.dim = out.shape[1];
    args.slices = slices;
    args.base = partials ? partials->as<float>() : nullptr;
    args.expert_rows = expert_rows.as<float>();
    args.expert = routing.expert.as<std::int32_t>();
    args.place = grouping.place.as<std::int32_t>();
    args.weight = routing.weight.as<float>();
    args.top_k = routing.expert.shape[1];
    args.first_expert = first_expert.data();
    args.out = out.as<float>();
    run("combine", args);
}

void Ops::add_parts(ConstView parts, View out) const {
    check_place("add_parts", {parts, out});
    check_matrix(parts, "add_parts parts");
    check_dense(parts, "add_parts parts");
    check(out, DType::F32, {parts.shape[1]}, "add_parts out");
    kernels::CombineArgs args;
    args.rows = 1;
    args.dim = parts.shape[1];
    args.slices = static_cast<int>(parts.shape[0]);
    args.base = parts.as<float>();
    args.out = out.as<float>();
    run("add_parts", args);
}

void Ops::vocab(const kernels::VocabArgs& args) const { run("vocab", args); }

}  // namespace sluice
