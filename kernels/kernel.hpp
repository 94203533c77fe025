// How an operation finds its implementation: per op, an ordered list; the first that fits runs.
#pragma once

#include "core/error.hpp"
#include "kernels/execution.hpp"

#include <cstddef>
#include <span>
#include <string_view>

namespace sluice::kernels {

// What this machine can do. The processor's levels include the ones before them.
struct Machine {
    bool avx2 = false;         // with FMA and F16C
    bool avx512 = false;       // F, BW, DQ, VL
    bool avx512_bf16 = false;  // with VBMI
    // vdpbf16ps does no more in a cycle than float32 FMAs do (Intel; measured on Sapphire Rapids: half):
    // products then prefer plain AVX-512.
    bool slow_bf16_dot = false;
    // Whether there is a GPU that the CUDA kernels run on. The driver is asked at the first call, for that
    // takes a moment and memory that runs on the CPU can spare.
    bool (*cuda)() = [] { return false; };
    // Whether it multiplies by wgmma, Hopper's own tensor-core instruction.
    bool (*wgmma)() = [] { return false; };
};

// Asks the processor; SLUICE_ISA=generic|avx2|avx512|avx512_bf16 lowers the answer (for tests and mixed
// clusters), and mma_sync that of the GPU: its products do without wgmma.
const Machine& this_machine();

// The level whose products this machine runs, as SLUICE_ISA names it: results are equal among machines of one
// level.
std::string_view level_of(const Machine& machine);

// The machine as SLUICE_ISA=level sees it: what it can do, up to that level. Fails for another name.
Machine lowered(const Machine& machine, std::string_view level);

template <class Args>
struct Kernel {
    std::string_view name;  // "reference", "cpu.avx512_bf16", ...
    Family family;
    bool (*fits)(const Args&, const Machine&);
    void (*run)(const Args&, const Execution&);
    std::size_t (*workspace)(const Args&) = nullptr;  // bytes of Execution::workspace; null: none
};

// What a call needs of Execution::workspace.
template <class Args>
std::size_t workspace_of(const Kernel<Args>& kernel, const Args& args) {
    return kernel.workspace != nullptr ? kernel.workspace(args) : 0;
}

// The implementations of one operation, best first. Defined in tables/, one file an op.
template <class Args>
std::span<const Kernel<Args>> kernels();

// Null: none of the family takes these arguments.
template <class Args>
const Kernel<Args>* find(Family family, const Args& args, const Machine& machine) {
    for (const Kernel<Args>& kernel : kernels<Args>()) {
        if (kernel.family == family && kernel.fits(args, machine)) return &kernel;
    }
    return nullptr;
}

template <class Args>
const Kernel<Args>& choose(Family family, const Args& args, const Machine& machine) {
    const Kernel<Args>* const kernel = find(family, args, machine);
    expect(kernel != nullptr, "no kernel of family {} takes these arguments", static_cast<int>(family));
    return *kernel;
}

}  // namespace sluice::kernels
