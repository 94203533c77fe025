#include "kernels/cpu/vocab.hpp"

namespace sluice::kernels::cpu {
template void run_vocab<Avx512>(const VocabArgs&, const Execution&);
}
