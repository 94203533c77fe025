// Products of activations with packed weights on the CPU, one entry an instruction set.
#pragma once

#include "kernels/args.hpp"
#include "kernels/kernel.hpp"

#include <cstddef>

namespace sluice::kernels::cpu {

// What they keep of a call for the next one, whatever the machine: its rows, as float32 at most, their
// scales, and outputs that wait for their gate. A thread's tile, which is a few hundred KiB, is not in it.
std::size_t most_product_scratch(const ProductArgs& args);
std::size_t most_expert_product_scratch(const ExpertProductArgs& args);

bool fits_product_generic(const ProductArgs& args, const Machine& machine);
void run_product_generic(const ProductArgs& args, const Execution& execution);
#if defined(__x86_64__)
bool fits_product_avx2(const ProductArgs& args, const Machine& machine);
void run_product_avx2(const ProductArgs& args, const Execution& execution);
bool fits_product_avx512(const ProductArgs& args, const Machine& machine);
void run_product_avx512(const ProductArgs& args, const Execution& execution);
bool fits_product_avx512_bf16(const ProductArgs& args, const Machine& machine);
void run_product_avx512_bf16(const ProductArgs& args, const Execution& execution);
#endif

}  // namespace sluice::kernels::cpu
