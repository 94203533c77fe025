#include "kernels/cpu/gate.hpp"

namespace sluice::kernels::cpu {
template void run_gate<Avx512>(const GateArgs&, const Execution&);
}
