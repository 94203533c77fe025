#include "kernels/cpu/gate.hpp"

namespace sluice::kernels::cpu {
template void run_gate<Avx2>(const GateArgs&, const Execution&);
}
