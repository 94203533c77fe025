#include "kernels/cpu/vocab.hpp"

namespace sluice::kernels::cpu {
template void run_vocab<Generic>(const VocabArgs&, const Execution&);
}
