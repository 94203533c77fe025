#include "kernels/cpu/ceilings_loops.hpp"

namespace sluice::kernels::cpu {
const CeilingIsa kCeilingGeneric = {&sum_floats<Generic>, &multiply_floats<Generic, 3>};
}
