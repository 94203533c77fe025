// Lays out the scratch of batches and queues their kernels.
#include "core/error.hpp"
#include "kernels/cuda/product_batches.hpp"
#include "kernels/cuda/run.hpp"

#include <algorithm>

namespace sluice::kernels::cuda {
namespace {

bool is_cuda(const PackedWeight* weight) { return dynamic_cast<const CudaWeight*>(weight) != nullptr; }

}  // namespace

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

bool are_packed(const ProductArgs& args) {
    return std::all_of(args.jobs.begin(), args.jobs.end(),
                       [](const ProductJob& job) { return is_cuda(job.weight); });
}
bool are_packed(const ExpertProductArgs& args) {
    return std::all_of(args.experts.begin(), args.experts.end(),
                       [](const Packed& weight) { return is_cuda(weight.get()); });
}

void run_product(const ProductArgs& args, const Execution& execution) {
    for_each_batch(args, [&](Batch& batch) { run_batch(batch, execution); });
}
void run_expert_product(const ExpertProductArgs& args, const Execution& execution) {
    for_each_batch(args, [&](Batch& batch) { run_batch(batch, execution); });
}

}  // namespace sluice::kernels::cuda
