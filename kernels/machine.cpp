#include "kernels/kernel.hpp"

#ifdef SLUICE_WITH_CUDA
#include "kernels/cuda/device.hpp"
#endif

#include <cstdlib>
#include <string_view>

namespace sluice::kernels {
namespace {

Machine ask() {
    Machine machine;
#if defined(__x86_64__)
    __builtin_cpu_init();
    machine.avx2 =
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    machine.avx512 = machine.avx2 && __builtin_cpu_supports("avx512f") &&
                     __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                     __builtin_cpu_supports("avx512vl");
    machine.avx512_bf16 =
        machine.avx512 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vbmi");
    machine.slow_bf16_dot = machine.avx512_bf16 && __builtin_cpu_is("intel");
#endif
#ifdef SLUICE_WITH_CUDA
    cuda::check_overlap_wish();
    machine.cuda = &cuda::available;
    machine.wgmma = &cuda::has_wgmma;
#endif
    return machine;
}

}  // namespace

Machine lowered(const Machine& machine, std::string_view level) {
    if (level == "mma_sync") {
        Machine without = machine;
        without.wgmma = Machine{}.wgmma;
        return without;
    }
    const int rank = level == "generic"       ? 0
                     : level == "avx2"        ? 1
                     : level == "avx512"      ? 2
                     : level == "avx512_bf16" ? 3
                                              : -1;
    require(
        rank >= 0, ExitCode::Usage,
        "SLUICE_ISA={}: expected generic, avx2, avx512 or avx512_bf16, or mma_sync for a GPU (or leave it "
        "unset)",
        level);
    // Who names the level wants its instruction, fast or slow.
    return {machine.avx2 && rank >= 1,
            machine.avx512 && rank >= 2,
            machine.avx512_bf16 && rank >= 3,
            false,
            machine.cuda,
            machine.wgmma};
}

const Machine& this_machine() {
    static const Machine machine = [] {
        const char* level = std::getenv("SLUICE_ISA");
        return level == nullptr ? ask() : lowered(ask(), level);
    }();
    return machine;
}

std::string_view level_of(const Machine& machine) {
    if (machine.avx512_bf16 && !machine.slow_bf16_dot) return "avx512_bf16";
    if (machine.avx512) return "avx512";
    return machine.avx2 ? "avx2" : "generic";
}

}  // namespace sluice::kernels
