#include "kernels/cpu/product_kernel.hpp"

namespace sluice::kernels::cpu {
const ProductIsa kProductAvx2 = kProductOf<Avx2Dot>;
}
