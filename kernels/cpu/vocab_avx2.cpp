#include "kernels/cpu/vocab.hpp"

namespace sluice::kernels::cpu {
template void run_vocab<Avx2>(const VocabArgs&, const Execution&);
}
