#include "kernels/cpu/seam.hpp"

namespace sluice::kernels::cpu {
template void run_seam<Avx2>(const SeamArgs&, const Execution&);
}
