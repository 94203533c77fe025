#include "kernels/cuda/attention_run.cuh"

namespace sluice::kernels::cuda {

void run_attention(const AttentionArgs& args, const Execution& execution) {
    if (args.page_dtype == DType::F8E4M3)
        run_attention_on<fp8>(args, execution);
    else
        run_attention_on<bf16>(args, execution);
}

}  // namespace sluice::kernels::cuda
