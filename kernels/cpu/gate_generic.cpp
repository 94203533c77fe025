#include "kernels/cpu/gate.hpp"

namespace sluice::kernels::cpu {
template void run_gate<Generic>(const GateArgs&, const Execution&);
}
