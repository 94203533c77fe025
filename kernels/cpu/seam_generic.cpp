#include "kernels/cpu/seam.hpp"

namespace sluice::kernels::cpu {
template void run_seam<Generic>(const SeamArgs&, const Execution&);
}
