#include "kernels/cuda/product_wgmma.cuh"

namespace sluice::kernels::cuda {

void multiply_wgmma_int8(const Batch& batch, const Execution& execution) {
    multiply_any_wgmma<Format::Int8>(batch, execution);
}

}  // namespace sluice::kernels::cuda
