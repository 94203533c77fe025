#include "kernels/cpu/product_kernel.hpp"

namespace sluice::kernels::cpu {
const ProductIsa kProductGeneric = kProductOf<GenericDot>;
}
