#include "kernels/cpu/seam.hpp"

namespace sluice::kernels::cpu {
template void run_seam<Avx512>(const SeamArgs&, const Execution&);
}
