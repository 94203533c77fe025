#include "kernels/workspace.hpp"

#include "kernels/cpu/product.hpp"
#include "kernels/cuda/run.hpp"

namespace sluice::kernels {

std::size_t most_workspace(Family family, const ProductArgs& args) {
    if (family == Family::Cpu) return cpu::most_product_scratch(args);
    return family == Family::Cuda ? cuda::product_workspace(args) : 0;
}
std::size_t most_workspace(Family family, const ExpertProductArgs& args) {
    if (family == Family::Cpu) return cpu::most_expert_product_scratch(args);
    return family == Family::Cuda ? cuda::expert_product_workspace(args) : 0;
}
std::size_t most_workspace(Family family, const AttentionArgs& args) {
    return family == Family::Cuda ? cuda::most_attention_workspace(args) : 0;
}
std::size_t most_workspace(Family family, const VocabArgs& args) {
    return family == Family::Cuda ? cuda::vocab_workspace(args) : 0;
}

}  // namespace sluice::kernels
