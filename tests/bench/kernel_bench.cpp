// The rate of every kernel against what this machine can do. See kernels/README.md.
#include "bench/kernel_bench.hpp"

#include "bench/ceilings.hpp"

#include <malloc.h>

#include <thread>

namespace sluice::bench {

const std::vector<int>& thread_counts() {
    static const std::vector<int> counts = [] {
        const auto all = static_cast<int>(std::thread::hardware_concurrency());
        return all > 1 ? std::vector{1, all} : std::vector{1};
    }();
    return counts;
}

const Machine& capable_machine() {
    static const Machine machine = [] {
        Machine capable = this_machine();
        capable.slow_bf16_dot = false;
        return capable;
    }();
    return machine;
}

void report(benchmark::State& state, const Traffic& traffic, double seconds, std::string_view implementation,
            int threads) {
    const double bytes = traffic.bytes / seconds, flops = traffic.flops / seconds;
    state.counters["GB/s"] = bytes * 1e-9;
    state.counters["%read"] = 100 * bytes / read_rate(implementation, threads);
    state.counters["GFLOP/s"] = flops * 1e-9;
    // Always there, or the columns of the report would change.
    const double peak = peak_rate(implementation, threads);
    state.counters["%peak"] = peak > 0 ? 100 * flops / peak : 0;
}

}  // namespace sluice::bench

int main(int argc, char** argv) {
    // Freed memory is used again: packing would otherwise wait for the system to find fresh pages.
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    // Defaults, which what is given overrides: the large cases, all in two to three minutes; those of a whole
    // model's widths are for GPUs.
    std::vector<std::string> options = {argv[0], "--benchmark_filter=-/small:|^v3/",
                                        "--benchmark_min_time=0.02", "--benchmark_counters_tabular=true"};
    options.insert(options.end(), argv + 1, argv + argc);
    std::vector<char*> pointers;
    for (std::string& option : options) pointers.push_back(option.data());
    int count = static_cast<int>(pointers.size());
    benchmark::Initialize(&count, pointers.data());
    if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 1;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
