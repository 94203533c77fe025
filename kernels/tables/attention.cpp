#include "kernels/cpu/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/run.hpp"
#include "kernels/tables/fits.hpp"

#include <array>

namespace sluice::kernels {

#if defined(__x86_64__)
namespace {

bool with_bf16_dot(const AttentionArgs& args, const Machine& machine) {
    return machine.avx512_bf16 && !machine.slow_bf16_dot && args.page_dtype == DType::BF16;
}

}  // namespace
#endif

template <>
std::span<const Kernel<AttentionArgs>> kernels<AttentionArgs>() {
    using Entry = Kernel<AttentionArgs>;
    static constexpr std::array table = {
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
