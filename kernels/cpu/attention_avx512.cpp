#include "kernels/cpu/attention.hpp"

namespace sluice::kernels::cpu {
template void run_attention<Avx512>(const AttentionArgs&, const Execution&);
}
