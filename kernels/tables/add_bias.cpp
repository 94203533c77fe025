#include "kernels/cpu/run.hpp"
#include "kernels/cuda/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/run.hpp"
#include "kernels/tables/fits.hpp"

#include <array>

namespace sluice::kernels {

template <>
std::span<const Kernel<BiasArgs>> kernels<BiasArgs>() {
    using Entry = Kernel<BiasArgs>;
    static constexpr std::array table = {
#ifdef SLUICE_WITH_CUDA
        Entry{"cuda", Family::Cuda, &with_cuda, &cuda::run_add_bias},
#endif
        Entry{"cpu", Family::Cpu, &anywhere, &cpu::run_add_bias},
        Entry{"reference", Family::Reference, &anywhere, &reference::run_add_bias},
    };
    return table;
}

}  // namespace sluice::kernels
