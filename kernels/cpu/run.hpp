// The CPU kernels of every operation but packing and products. Those that gain from an instruction set are
// templates, defined in OP.hpp and instantiated in OP_generic.cpp, OP_avx2.cpp and OP_avx512.cpp alone.
#pragma once

#include "kernels/args.hpp"
#include "kernels/kernel.hpp"

namespace sluice::kernels::cpu {

struct Generic;
struct Avx2;
struct Avx512;

void run_embed(const EmbedArgs& args, const Execution& execution);
void run_rope(const RopeArgs& args, const Execution& execution);
void run_add_bias(const BiasArgs& args, const Execution& execution);
void run_route(const RouteArgs& args, const Execution& execution);
void run_group(const GroupArgs& args, const Execution& execution);

template <class Isa>
void run_rms_norm(const RmsNormArgs& args, const Execution& execution);
template <class Isa>
void run_seam(const SeamArgs& args, const Execution& execution);
template <class Isa>
void run_store_rows(const StoreRowsArgs& args, const Execution& execution);
template <class Isa>
void run_attention(const AttentionArgs& args, const Execution& execution);
void run_attention_avx512_bf16(const AttentionArgs& args, const Execution& execution);
template <class Isa>
void run_gate(const GateArgs& args, const Execution& execution);
template <class Isa>
void run_combine(const CombineArgs& args, const Execution& execution);
template <class Isa>
void run_vocab(const VocabArgs& args, const Execution& execution);

}  // namespace sluice::kernels::cpu
