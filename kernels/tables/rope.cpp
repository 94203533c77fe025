#include "kernels/cpu/run.hpp"
#include "kernels/cuda/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/run.hpp"
#include "kernels/tables/fits.hpp"

#include <array>

namespace sluice::kernels {

template <>
std::span<const Kernel<RopeArgs>> kernels<RopeArgs>() {
    using Entry = Kernel<RopeArgs>;
    static constexpr std::array table = {
#ifdef SLUICE_WITH_CUDA
        Entry{"cuda", Family::Cuda, &with_cuda, &cuda::run_rope},
#endif
        Entry{"cpu", Family::Cpu, &anywhere, &cpu::run_rope},
        Entry{"reference", Family::Reference, &anywhere, &reference::run_rope},
    };
    return table;
}

}  // namespace sluice::kernels
