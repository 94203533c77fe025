// What operations need of Execution::workspace. Needs no device.
#include "kernels/cuda/attention_plan.hpp"
#include "kernels/cuda/product_batches.hpp"
#include "kernels/cuda/run.hpp"
#include "kernels/cuda/vocab_chunk.hpp"

#include <algorithm>

namespace sluice::kernels::cuda {
namespace {

template <class Args>
std::size_t most_scratch(const Args& args) {
    std::size_t most = 0;
    for_each_batch(args, [&](const Batch& batch) { most = std::max(most, most_scratch_bytes(batch)); });
    return most;
}

}  // namespace

std::size_t product_workspace(const ProductArgs& args) { return most_scratch(args); }
std::size_t expert_product_workspace(const ExpertProductArgs& args) { return most_scratch(args); }
std::size_t attention_workspace(const AttentionArgs& args) { return plan_attention(args).split_bytes; }
std::size_t most_attention_workspace(const AttentionArgs& args) { return most_split_bytes(args); }
std::size_t vocab_workspace(const VocabArgs& args) {
    if (args.rows.empty()) return 0;
    return args.rows.size() * static_cast<std::size_t>(slices_of(args) * chunks_of(args)) *
           sizeof(VocabChunk);
}

}  // namespace sluice::kernels::cuda
