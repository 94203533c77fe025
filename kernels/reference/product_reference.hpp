// Products as plain sums in double precision.
#pragma once

#include "kernels/args.hpp"
#include "kernels/kernel.hpp"

namespace sluice::kernels::reference {

bool fits_product(const ProductArgs& args, const Machine& machine);
// Activations enter as they are; for Products::Fp8 they are quantised and decoded first.
void run_product(const ProductArgs& args, const Execution& execution);

}  // namespace sluice::kernels::reference
