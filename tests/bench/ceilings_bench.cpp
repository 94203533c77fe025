// What a GPU reads, copies and multiplies at most, with which its operations are compared.
#include "bench/kernel_bench.hpp"

namespace sluice::bench {
namespace {

// `a_second`: what is done in one.
bool register_ceiling(const char* name, Traffic (*a_second)()) {
    const auto run = [=](benchmark::State& state) {
        if (!capable_machine().cuda()) return state.SkipWithError("no GPU");
        for (auto _ : state) state.SetIterationTime(1);
        report(state, a_second(), 1, "cuda", 1);
    };
    benchmark::RegisterBenchmark(name, run)->UseManualTime()->Iterations(1);
    return true;
}

const bool known = register_ceiling("v3/ceiling/cuda/read",
                                    [] {
                                        return Traffic{device_read_rate(), 0};
                                    }) &&
                   register_ceiling("v3/ceiling/cuda/copy",
                                    [] {
                                        return Traffic{device_copy_rate(), 0};
                                    }) &&
                   register_ceiling("v3/ceiling/cuda/mma.sync,bf16", [] {
                       return Traffic{0, device_multiply_rate()};
                   });

}  // namespace
}  // namespace sluice::bench
