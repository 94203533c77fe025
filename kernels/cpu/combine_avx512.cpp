#include "kernels/cpu/combine.hpp"

namespace sluice::kernels::cpu {
template void run_combine<Avx512>(const CombineArgs&, const Execution&);
}
