// Lays out the scratch of batches and queues their kernels.
#include "core/error.hpp"
#include "kernels/cuda/product_batches.hpp"
#include "kernels/cuda/run.hpp"

#include <algorithm>

namespace sluice::kernels::cuda {
namespace {

bool is_cuda(const PackedWeight* weight) { return dynamic_cast<const CudaWeight*>(weight) != nullptr; }

void multiply_rows(const Batch& batch, const Execution& execution, Instruction by) {
    const bool wgmma = by == Instruction::Wgmma;
    switch (batch.shape.format) {
        case Format::Fp8:
            if (batch.coded_rows) return multiply_wgmma_codes(batch, execution);
            return (wgmma ? multiply_wgmma_fp8 : multiply_fp8)(batch, execution);
        case Format::Int8: return (wgmma ? multiply_wgmma_int8 : multiply_int8)(batch, execution);
        default: return (wgmma ? multiply_wgmma_bf16 : multiply_bf16)(batch, execution);
    }
}

}  // namespace

void run_batch(Batch& batch, const Execution& execution, Instruction by) {
    batch.coded_rows = by == Instruction::Wgmma && batch.shape.format == Format::Fp8 &&
                       batch.shape.products == Products::Fp8;
    const std::size_t needed = scratch_bytes(batch);
    expect(needed <= execution.workspace_bytes, "a product needs {} bytes of workspace, and has {}", needed,
           execution.workspace_bytes);
    batch.converted = static_cast<std::byte*>(execution.workspace);
    batch.sums = reinterpret_cast<float*>(batch.converted + converted_bytes(batch));
    if (batch.shape.products == Products::F32) {
        multiply_f32(batch, execution);
    } else {
        convert_rows(batch, execution);
        multiply_rows(batch, execution, by);
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
void run_product_wgmma(const ProductArgs& args, const Execution& execution) {
    for_each_batch(args, [&](Batch& batch) { run_batch(batch, execution, Instruction::Wgmma); });
}
void run_expert_product(const ExpertProductArgs& args, const Execution& execution) {
    for_each_batch(args, [&](Batch& batch) { run_batch(batch, execution); });
}
void run_expert_product_wgmma(const ExpertProductArgs& args, const Execution& execution) {
    for_each_batch(args, [&](Batch& batch) { run_batch(batch, execution, Instruction::Wgmma); });
}

}  // namespace sluice::kernels::cuda
