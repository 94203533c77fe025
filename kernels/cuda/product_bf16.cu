#include "kernels/cuda/product_multiply.cuh"

namespace sluice::kernels::cuda {

void multiply_bf16(const Batch& batch, const Execution& execution) {
    multiply_any<Format::Bf16>(batch, execution);
}

}  // namespace sluice::kernels::cuda
