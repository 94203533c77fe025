// Products of activations with packed weights on the CPU, one entry an instruction set.
#pragma once

#include "kernels/args.hpp"
#include "kernels/kernel.hpp"

namespace sluice::kernels::cpu {

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
