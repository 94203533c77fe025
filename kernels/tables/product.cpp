#include "kernels/cpu/product.hpp"

#include "kernels/cuda/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/product_reference.hpp"

#include <array>

namespace sluice::kernels {

#ifdef SLUICE_WITH_CUDA
namespace {

bool with_cuda_and_packed(const ProductArgs& args, const Machine& machine) {
    return machine.cuda() && cuda::are_packed(args);
}
bool with_wgmma_and_packed(const ProductArgs& args, const Machine& machine) {
    return machine.wgmma() && with_cuda_and_packed(args, machine);
}

}  // namespace
#endif

template <>
std::span<const Kernel<ProductArgs>> kernels<ProductArgs>() {
    using Entry = Kernel<ProductArgs>;
    static constexpr std::array table = {
#ifdef SLUICE_WITH_CUDA
        Entry{"cuda.wgmma", Family::Cuda, &with_wgmma_and_packed, &cuda::run_product_wgmma,
              &cuda::product_workspace},
        Entry{"cuda", Family::Cuda, &with_cuda_and_packed, &cuda::run_product, &cuda::product_workspace},
#endif
#if defined(__x86_64__)
        Entry{"cpu.avx512_bf16", Family::Cpu, &cpu::fits_product_avx512_bf16, &cpu::run_product_avx512_bf16},
        Entry{"cpu.avx512", Family::Cpu, &cpu::fits_product_avx512, &cpu::run_product_avx512},
        Entry{"cpu.avx2", Family::Cpu, &cpu::fits_product_avx2, &cpu::run_product_avx2},
#endif
        Entry{"cpu.generic", Family::Cpu, &cpu::fits_product_generic, &cpu::run_product_generic},
        Entry{"reference", Family::Reference, &reference::fits_product, &reference::run_product},
    };
    return table;
}

}  // namespace sluice::kernels
