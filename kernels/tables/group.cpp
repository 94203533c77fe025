#include "kernels/cpu/run.hpp"
#include "kernels/cuda/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/run.hpp"
#include "kernels/tables/fits.hpp"

#include <array>

namespace sluice::kernels {

template <>
std::span<const Kernel<GroupArgs>> kernels<GroupArgs>() {
    using Entry = Kernel<GroupArgs>;
    static constexpr std::array table = {
#ifdef SLUICE_WITH_CUDA
        Entry{"cuda", Family::Cuda, &with_cuda, &cuda::run_group},
#endif
        Entry{"cpu", Family::Cpu, &anywhere, &cpu::run_group},
        Entry{"reference", Family::Reference, &anywhere, &reference::run_group},
    };
    return table;
}

}  // namespace sluice::kernels
