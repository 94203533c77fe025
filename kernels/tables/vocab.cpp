#include "kernels/cpu/run.hpp"
#include "kernels/cuda/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/run.hpp"
#include "kernels/tables/fits.hpp"

#include <array>

namespace sluice::kernels {

#ifdef SLUICE_WITH_CUDA
namespace {

bool with_cuda_and_shared_memory(const VocabArgs& args, const Machine& machine) {
    return machine.cuda() && args.max_candidates <= cuda::kMostListed && args.max_top <= cuda::kMostListed &&
           args.widest_slice <= cuda::kWidestSlice;
}

}  // namespace
#endif

template <>
std::span<const Kernel<VocabArgs>> kernels<VocabArgs>() {
    using Entry = Kernel<VocabArgs>;
    static constexpr std::array table = {
#ifdef SLUICE_WITH_CUDA
        Entry{"cuda", Family::Cuda, &with_cuda_and_shared_memory, &cuda::run_vocab, &cuda::vocab_workspace},
#endif
#if defined(__x86_64__)
        Entry{"cpu.avx512", Family::Cpu, &with_avx512, &cpu::run_vocab<cpu::Avx512>},
        Entry{"cpu.avx2", Family::Cpu, &with_avx2, &cpu::run_vocab<cpu::Avx2>},
#endif
        Entry{"cpu.generic", Family::Cpu, &anywhere, &cpu::run_vocab<cpu::Generic>},
        Entry{"reference", Family::Reference, &anywhere, &reference::run_vocab},
    };
    return table;
}

}  // namespace sluice::kernels
