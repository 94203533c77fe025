#include "kernels/cpu/run.hpp"
#include "kernels/cuda/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/run.hpp"
#include "kernels/tables/fits.hpp"

#include <array>

namespace sluice::kernels {

#ifdef SLUICE_WITH_CUDA
namespace {

bool with_cuda_and_registers(const RouteArgs& args, const Machine& machine) {
    return machine.cuda() && args.spec.experts <= cuda::kMostExperts;
}

}  // namespace
#endif

template <>
std::span<const Kernel<RouteArgs>> kernels<RouteArgs>() {
    using Entry = Kernel<RouteArgs>;
    static constexpr std::array table = {
#ifdef SLUICE_WITH_CUDA
        Entry{"cuda", Family::Cuda, &with_cuda_and_registers, &cuda::run_route},
#endif
        Entry{"cpu", Family::Cpu, &anywhere, &cpu::run_route},
        Entry{"reference", Family::Reference, &anywhere, &reference::run_route},
    };
    return table;
}

}  // namespace sluice::kernels
