#include "kernels/cpu/run.hpp"
#include "kernels/cuda/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/run.hpp"
#include "kernels/tables/fits.hpp"

#include <array>

namespace sluice::kernels {

#ifdef SLUICE_WITH_CUDA
namespace {

bool with_cuda_and_registers(const RmsNormArgs& args, const Machine& machine) {
    return machine.cuda() && args.dim <= cuda::kWidestNorm;
}

}  // namespace
#endif

template <>
std::span<const Kernel<RmsNormArgs>> kernels<RmsNormArgs>() {
    using Entry = Kernel<RmsNormArgs>;
    static constexpr std::array table = {
#ifdef SLUICE_WITH_CUDA
        Entry{"cuda", Family::Cuda, &with_cuda_and_registers, &cuda::run_rms_norm},
#endif
#if defined(__x86_64__)
        Entry{"cpu.avx512", Family::Cpu, &with_avx512, &cpu::run_rms_norm<cpu::Avx512>},
        Entry{"cpu.avx2", Family::Cpu, &with_avx2, &cpu::run_rms_norm<cpu::Avx2>},
#endif
        Entry{"cpu.generic", Family::Cpu, &anywhere, &cpu::run_rms_norm<cpu::Generic>},
        Entry{"reference", Family::Reference, &anywhere, &reference::run_rms_norm},
    };
    return table;
}

}  // namespace sluice::kernels
