#include "kernels/cuda/attention_run.cuh"

namespace sluice::kernels::cuda {
template void run_attention_on<fp8>(const AttentionArgs& args, const Execution& execution);
}
