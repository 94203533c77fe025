#include "kernels/cpu/run.hpp"
#include "kernels/cuda/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/run.hpp"
#include "kernels/tables/fits.hpp"

#include <array>

namespace sluice::kernels {

template <>
std::span<const Kernel<StoreRowsArgs>> kernels<StoreRowsArgs>() {
    using Entry = Kernel<StoreRowsArgs>;
    static constexpr std::array table = {
#ifdef SLUICE_WITH_CUDA
        Entry{"cuda", Family::Cuda, &with_cuda, &cuda::run_store_rows},
#endif
#if defined(__x86_64__)
        Entry{"cpu.avx512", Family::Cpu, &with_avx512, &cpu::run_store_rows<cpu::Avx512>},
        Entry{"cpu.avx2", Family::Cpu, &with_avx2, &cpu::run_store_rows<cpu::Avx2>},
#endif
        Entry{"cpu.generic", Family::Cpu, &anywhere, &cpu::run_store_rows<cpu::Generic>},
        Entry{"reference", Family::Reference, &anywhere, &reference::run_store_rows},
    };
    return table;
}

}  // namespace sluice::kernels
