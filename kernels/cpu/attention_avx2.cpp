#include "kernels/cpu/attention.hpp"

namespace sluice::kernels::cpu {
template void run_attention<Avx2>(const AttentionArgs&, const Execution&);
}
