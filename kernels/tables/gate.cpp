#include "kernels/cpu/run.hpp"
#include "kernels/cuda/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/run.hpp"
#include "kernels/tables/fits.hpp"

#include <array>

namespace sluice::kernels {

template <>
std::span<const Kernel<GateArgs>> kernels<GateArgs>() {
    using Entry = Kernel<GateArgs>;
    static constexpr std::array table = {
#ifdef SLUICE_WITH_CUDA
        Entry{"cuda", Family::Cuda, &with_cuda, &cuda::run_gate},
#endif
#if defined(__x86_64__)
        Entry{"cpu.avx512", Family::Cpu, &with_avx512, &cpu::run_gate<cpu::Avx512>},
        Entry{"cpu.avx2", Family::Cpu, &with_avx2, &cpu::run_gate<cpu::Avx2>},
#endif
        Entry{"cpu.generic", Family::Cpu, &anywhere, &cpu::run_gate<cpu::Generic>},
        Entry{"reference", Family::Reference, &anywhere, &reference::run_gate},
    };
    return table;
}

}  // namespace sluice::kernels
