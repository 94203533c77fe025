#include "kernels/workspace.hpp"

#include "kernels/cuda/run.hpp"

namespace sluice::kernels {

std::size_t most_workspace(Family family, const ProductArgs& args) {
    return family == Family::Cuda ? cuda::product_workspace(args) : 0;
}
std::size_t most_workspace(Family family, const ExpertProductArgs& args) {
    return family == Family::Cuda ? cuda::expert_product_workspace(args) : 0;
}
std::size_t most_workspace(Family family, const AttentionArgs& args) {
    return family == Family::Cuda ? cuda::most_attention_workspace(args) : 0;
}

}  // namespace sluice::kernels
