// Makes batches of jobs, lays out their scratch and queues their kernels.
#include "core/error.hpp"
#include "kernels/cuda/product_batch.hpp"
#include "kernels/cuda/run.hpp"

#include <algorithm>

namespace sluice::kernels::cuda {
namespace {

constexpr std::size_t kAligned = 256;

constexpr std::size_t round_up(std::size_t bytes) { return (bytes + kAligned - 1) / kAligned * kAligned; }

const CudaWeight& weight_of(const PackedWeight& weight) { return static_cast<const CudaWeight&>(weight); }

std::size_t converted_bytes(const Batch& batch) {
    if (batch.shape.products == Products::F32) return 0;
    return round_up(static_cast<std::size_t>(batch.all_rows() * x_row_bytes(batch.shape)));
}

std::size_t scratch_bytes(const Batch& batch) {
    const std::int64_t sums =
        batch.sums_are_outputs() ? 0 : std::int64_t{batch.pieces()} * batch.all_rows() * batch.shape.rows;
    return converted_bytes(batch) + round_up(static_cast<std::size_t>(sums) * sizeof(float));
}

void run_batch(Batch& batch, const Execution& execution) {
    const std::size_t needed = scratch_bytes(batch);
    expect(needed <= execution.workspace_bytes, "a product needs {} bytes of workspace, and has {}", needed,
           execution.workspace_bytes);
    batch.converted = static_cast<std::byte*>(execution.workspace);
    batch.sums = reinterpret_cast<float*>(batch.converted + converted_bytes(batch));
    if (batch.shape.products == Products::F32) {
        multiply_f32(batch, execution);
    } else {
        convert_rows(batch, execution);
        switch (batch.shape.format) {
            case Format::Fp8: multiply_fp8(batch, execution); break;
            case Format::Int8: multiply_int8(batch, execution); break;
            default: multiply_bf16(batch, execution); break;
        }
    }
    if (!batch.sums_are_outputs()) finish_rows(batch, execution);
}

Batch batch_of(const ProductArgs& args, const ProductJob& job) {
    Batch batch;
    const CudaWeight& weight = weight_of(*job.weight);
    batch.shape = weight.shape;
    batch.splits = weight.shape.splits;
    batch.outputs = args.outputs;
    batch.activation = args.activation;
    batch.weights = 1;
    batch.rows = static_cast<int>(job.rows);
    batch.x = job.x;
    batch.gather = job.gather;
    batch.x_stride = job.x_stride;
    batch.out = job.out;
    batch.out_stride = job.out_stride;
    batch.out_segment_stride = job.segment_stride;
    batch.weight[0] = weight.memory.data();
    return batch;
}

// Whether the job goes on as the batch does: heads do, each beside the one before.
bool takes(Batch& batch, const ProductJob& job) {
    const bool alike = batch.weights < kMostWeights && job.rows == batch.rows && job.gather == batch.gather &&
                       job.x_stride == batch.x_stride && job.out_stride == batch.out_stride &&
                       job.segment_stride == batch.out_segment_stride &&
                       weight_of(*job.weight).shape == batch.shape;
    if (!alike) return false;
    if (batch.weights == 1) {
        batch.x_weight_stride = job.x - batch.x;
        batch.out_weight_stride = job.out - batch.out;
    }
    if (job.x - batch.x != batch.weights * batch.x_weight_stride ||
        job.out - batch.out != batch.weights * batch.out_weight_stride)
        return false;
    batch.weight[batch.weights++] = weight_of(*job.weight).memory.data();
    return true;
}

template <class Take>
void for_each_batch(const ProductArgs& args, Take take) {
    for (std::size_t i = 0; i < args.jobs.size();) {
        const ProductJob& job = args.jobs[i++];
        if (job.rows == 0) continue;
        Batch batch = batch_of(args, job);
        while (i < args.jobs.size() && takes(batch, args.jobs[i])) ++i;
        take(batch);
    }
}

// At most kMostWeights experts at a time.
template <class Take>
void for_each_batch(const ExpertProductArgs& args, Take take) {
    if (args.most_rows == 0) return;
    for (std::size_t first = 0; first < args.experts.size(); first += kMostWeights) {
        const auto experts =
            args.experts.subspan(first, std::min<std::size_t>(args.experts.size() - first, kMostWeights));
        Batch batch;
        batch.shape = weight_of(*experts.front()).shape;
        batch.outputs = args.outputs;
        batch.activation = args.activation;
        batch.weights = static_cast<int>(experts.size());
        batch.rows = static_cast<int>(args.most_rows);
        batch.offsets = args.offsets + first;
        batch.x = args.x;
        batch.gather = args.tokens;
        batch.x_stride = args.x_stride;
        batch.out = args.out;
        batch.out_stride = args.out_stride;
        for (std::size_t e = 0; e < experts.size(); ++e) {
            const CudaWeight& weight = weight_of(*experts[e]);
            expect(weight.shape == batch.shape, "experts of unlike shapes");
            batch.weight[e] = weight.memory.data();
        }
        take(batch);
    }
}

template <class Args>
std::size_t most_scratch(const Args& args) {
    std::size_t most = 0;
    for_each_batch(args, [&](const Batch& batch) { most = std::max(most, scratch_bytes(batch)); });
    return most;
}

bool is_cuda(const PackedWeight* weight) { return dynamic_cast<const CudaWeight*>(weight) != nullptr; }

}  // namespace

bool are_packed(const ProductArgs& args) {
    return std::all_of(args.jobs.begin(), args.jobs.end(),
                       [](const ProductJob& job) { return is_cuda(job.weight); });
}
bool are_packed(const ExpertProductArgs& args) {
    return std::all_of(args.experts.begin(), args.experts.end(),
                       [](const Packed& weight) { return is_cuda(weight.get()); });
}

std::size_t product_workspace(const ProductArgs& args) { return most_scratch(args); }
std::size_t expert_product_workspace(const ExpertProductArgs& args) { return most_scratch(args); }

void run_product(const ProductArgs& args, const Execution& execution) {
    for_each_batch(args, [&](Batch& batch) { run_batch(batch, execution); });
}
void run_expert_product(const ExpertProductArgs& args, const Execution& execution) {
    for_each_batch(args, [&](Batch& batch) { run_batch(batch, execution); });
}

}  // namespace sluice::kernels::cuda
