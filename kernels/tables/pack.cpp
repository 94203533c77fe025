#include "kernels/cpu/pack.hpp"

#include "kernels/cuda/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/pack_reference.hpp"
#include "kernels/tables/fits.hpp"

#include <array>

namespace sluice::kernels {
namespace {

// On any machine.
bool for_sizes_only(const PackArgs& args, const Machine& /*machine*/) { return args.sizes_only; }

}  // namespace

template <>
std::span<const Kernel<PackArgs>> kernels<PackArgs>() {
    static constexpr std::array table = {
        Kernel<PackArgs>{"cuda.sizes", Family::Cuda, &for_sizes_only,
                         &cuda::run_sizes},  // before a GPU is asked
#ifdef SLUICE_WITH_CUDA
        Kernel<PackArgs>{"cuda", Family::Cuda, &with_cuda, &cuda::run_pack},
#endif
        Kernel<PackArgs>{"cpu", Family::Cpu, &cpu::fits_pack, &cpu::run_pack},
        Kernel<PackArgs>{"reference", Family::Reference, &reference::fits_pack, &reference::run_pack},
    };
    return table;
}

}  // namespace sluice::kernels
