#include "kernels/cuda/product_multiply.cuh"

namespace sluice::kernels::cuda {

void multiply_fp8(const Batch& batch, const Execution& execution) {
    multiply_any<Format::Fp8>(batch, execution);
}

}  // namespace sluice::kernels::cuda
