#include "kernels/cpu/attention.hpp"

namespace sluice::kernels::cpu {
template void run_attention<Generic>(const AttentionArgs&, const Execution&);
}
