#include "kernels/cpu/product_kernel.hpp"

namespace sluice::kernels::cpu {
const ProductIsa kProductAvx512 = kProductOf<Avx512Dot>;
}
