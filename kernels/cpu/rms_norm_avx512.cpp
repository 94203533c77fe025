#include "kernels/cpu/rms_norm.hpp"

namespace sluice::kernels::cpu {
template void run_rms_norm<Avx512>(const RmsNormArgs&, const Execution&);
}
