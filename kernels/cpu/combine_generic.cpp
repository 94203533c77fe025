#include "kernels/cpu/combine.hpp"

namespace sluice::kernels::cpu {
template void run_combine<Generic>(const CombineArgs&, const Execution&);
}
