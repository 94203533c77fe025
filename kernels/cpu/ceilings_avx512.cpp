#include "kernels/cpu/ceilings_loops.hpp"

namespace sluice::kernels::cpu {
const CeilingIsa kCeilingAvx512 = {&sum_floats<Avx512>, &multiply_floats<Avx512, 12>};
}
