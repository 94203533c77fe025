// The CUDA kernels. Pointers in the arguments are the device's, but for the small arrays that say so. The
// tables ask for a GPU, and for the limits below where there are some.
#pragma once

#include "kernels/args.hpp"
#include "kernels/execution.hpp"

#include <cstddef>
#include <cstdint>

namespace sluice::kernels::cuda {

// Elements of a row that is normed: a block holds it in registers.
inline constexpr std::int64_t kWidestNorm = 32768;
// Experts of a router: a warp holds their scores in registers.
inline constexpr int kMostExperts = 512;
// Of an attention head: shared memory holds a tile of them.
inline constexpr std::int64_t kWidestKey = 576, kWidestValue = 512;
// What is combined in a row.
inline constexpr int kMostSlices = 64, kMostChoices = 64;
// Tokens that a slice of the vocabulary lists, and has: a block holds them, and what it knows of these, in
// shared memory.
inline constexpr int kMostListed = 4096;
inline constexpr std::int64_t kWidestSlice = 1 << 19;

void run_pack(const PackArgs& args, const Execution& execution);
// Whether all weights are packed for these kernels.
bool are_packed(const ProductArgs& args);
bool are_packed(const ExpertProductArgs& args);
void run_product(const ProductArgs& args, const Execution& execution);
void run_product_wgmma(const ProductArgs& args, const Execution& execution);
std::size_t product_workspace(const ProductArgs& args);
void run_expert_product(const ExpertProductArgs& args, const Execution& execution);
void run_expert_product_wgmma(const ExpertProductArgs& args, const Execution& execution);
std::size_t expert_product_workspace(const ExpertProductArgs& args);
void run_embed(const EmbedArgs& args, const Execution& execution);
void run_rms_norm(const RmsNormArgs& args, const Execution& execution);
void run_seam(const SeamArgs& args, const Execution& execution);
void run_rope(const RopeArgs& args, const Execution& execution);
void run_store_rows(const StoreRowsArgs& args, const Execution& execution);
void run_attention(const AttentionArgs& args, const Execution& execution);
std::size_t attention_workspace(const AttentionArgs& args);
// Of any call with at most these rows and contexts.
std::size_t most_attention_workspace(const AttentionArgs& args);
void run_add_bias(const BiasArgs& args, const Execution& execution);
void run_gate(const GateArgs& args, const Execution& execution);
void run_route(const RouteArgs& args, const Execution& execution);
void run_group(const GroupArgs& args, const Execution& execution);
// `first_expert` is the host's.
void run_combine(const CombineArgs& args, const Execution& execution);
void run_vocab(const VocabArgs& args, const Execution& execution);
std::size_t vocab_workspace(const VocabArgs& args);

}  // namespace sluice::kernels::cuda
