// The reference kernels: plain loops that say what each operation means (see args.hpp). Single-threaded.
#pragma once

#include "kernels/args.hpp"
#include "kernels/kernel.hpp"

namespace sluice::kernels::reference {

void run_embed(const EmbedArgs& args, const Execution& execution);
void run_rms_norm(const RmsNormArgs& args, const Execution& execution);
void run_seam(const SeamArgs& args, const Execution& execution);
void run_rope(const RopeArgs& args, const Execution& execution);
void run_store_rows(const StoreRowsArgs& args, const Execution& execution);
void run_attention(const AttentionArgs& args, const Execution& execution);
void run_add_bias(const BiasArgs& args, const Execution& execution);
void run_gate(const GateArgs& args, const Execution& execution);
void run_route(const RouteArgs& args, const Execution& execution);
void run_group(const GroupArgs& args, const Execution& execution);
void run_combine(const CombineArgs& args, const Execution& execution);
void run_vocab(const VocabArgs& args, const Execution& execution);

}  // namespace sluice::kernels::reference
