#include "kernels/cpu/combine.hpp"

namespace sluice::kernels::cpu {
template void run_combine<Avx2>(const CombineArgs&, const Execution&);
}
