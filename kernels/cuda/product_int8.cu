#include "kernels/cuda/product_multiply.cuh"

namespace sluice::kernels::cuda {

void multiply_int8(const Batch& batch, const Execution& execution) {
    multiply_any<Format::Int8>(batch, execution);
}

}  // namespace sluice::kernels::cuda
