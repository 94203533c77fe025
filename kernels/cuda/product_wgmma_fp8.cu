#include "kernels/cuda/product_wgmma.cuh"

namespace sluice::kernels::cuda {

void multiply_wgmma_fp8(const Batch& batch, const Execution& execution) {
    multiply_any_wgmma<Format::Fp8>(batch, execution);
}

}  // namespace sluice::kernels::cuda
