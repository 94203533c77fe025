#include "kernels/cpu/ceilings_loops.hpp"

namespace sluice::kernels::cpu {
const CeilingIsa kCeilingAvx2 = {&sum_floats<Avx2>, &multiply_floats<Avx2, 6>};
}
