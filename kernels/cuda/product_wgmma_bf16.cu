#include "kernels/cuda/product_wgmma.cuh"

namespace sluice::kernels::cuda {

void multiply_wgmma_bf16(const Batch& batch, const Execution& execution) {
    multiply_any_wgmma<Format::Bf16>(batch, execution);
}

}  // namespace sluice::kernels::cuda
