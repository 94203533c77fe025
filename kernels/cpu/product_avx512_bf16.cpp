#include "kernels/cpu/product_kernel.hpp"

namespace sluice::kernels::cpu {
const ProductIsa kProductAvx512Bf16 = kProductOf<Avx512Bf16Dot>;
}
