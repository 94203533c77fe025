#include "kernels/cpu/run.hpp"
#include "kernels/cuda/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/run.hpp"
#include "kernels/tables/fits.hpp"

#include <array>

namespace sluice::kernels {

namespace {

#ifdef SLUICE_WITH_CUDA
bool with_cuda_and_narrow_pages(const AttentionArgs& args, const Machine& machine) {
    return machine.cuda() && args.page_dtype != DType::F32 && args.key_dim <= cuda::kWidestKey &&
           args.value_dim <= cuda::kWidestValue && (args.kv_heads == 0 || args.heads % args.kv_heads == 0);
}
#endif

#if defined(__x86_64__)
bool with_bf16_dot(const AttentionArgs& args, const Machine& machine) {
    return machine.avx512_bf16 && !machine.slow_bf16_dot && args.page_dtype != DType::F32;
}
#endif

}  // namespace

template <>
std::span<const Kernel<AttentionArgs>> kernels<AttentionArgs>() {
    using Entry = Kernel<AttentionArgs>;
    static constexpr std::array table = {
#ifdef SLUICE_WITH_CUDA
        Entry{"cuda", Family::Cuda, &with_cuda_and_narrow_pages, &cuda::run_attention,
              &cuda::attention_workspace},
#endif
#if defined(__x86_64__)
        Entry{"cpu.avx512_bf16", Family::Cpu, &with_bf16_dot, &cpu::run_attention_avx512_bf16},
        Entry{"cpu.avx512", Family::Cpu, &with_avx512, &cpu::run_attention<cpu::Avx512>},
        Entry{"cpu.avx2", Family::Cpu, &with_avx2, &cpu::run_attention<cpu::Avx2>},
#endif
        Entry{"cpu.generic", Family::Cpu, &anywhere, &cpu::run_attention<cpu::Generic>},
        Entry{"reference", Family::Reference, &anywhere, &reference::run_attention},
    };
    return table;
}

}  // namespace sluice::kernels
