#include "kernels/cpu/pack.hpp"

#include "kernels/cuda/run.hpp"
#include "kernels/cuda/weight.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/pack_reference.hpp"
#include "kernels/tables/fits.hpp"
#include "kernels/workspace.hpp"

#include <array>

namespace sluice::kernels {

template <>
std::span<const Kernel<PackArgs>> kernels<PackArgs>() {
    static constexpr std::array table = {
#ifdef SLUICE_WITH_CUDA
        Kernel<PackArgs>{"cuda", Family::Cuda, &with_cuda, &cuda::run_pack},
#endif
        Kernel<PackArgs>{"cpu", Family::Cpu, &cpu::fits_pack, &cpu::run_pack},
        Kernel<PackArgs>{"reference", Family::Reference, &reference::fits_pack, &reference::run_pack},
    };
    return table;
}

Packed packed_sizes(Family family, PackArgs args) {
    Packed sizes;
    args.out = &sizes;
    args.sizes_only = true;
    if (family == Family::Cuda)
        sizes = cuda::lay_out(args);  // no GPU is asked
    else
        choose(family, args, this_machine()).run(args, {});
    return sizes;
}

}  // namespace sluice::kernels
