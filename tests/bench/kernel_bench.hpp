// Benchmarks of an operation: every implementation of its table on the cases of its list (kernels/cases.hpp),
// with one thread and with all of them, those of a GPU with their arguments in its memory. Names are
// OPERATION/IMPLEMENTATION/CASE/T:THREADS, and CASE begins with "small:" unless it is a large one. Cases that
// only a GPU runs are called v3/OPERATION/...: they have the sizes of DeepSeek-V3 on one.
#pragma once

#include "bench/device.hpp"
#include "kernels/cases.hpp"
#include "kernels/kernel.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace sluice::bench {

using namespace sluice::kernels;

// What a call cannot do without: bytes read or written, each once, and arithmetic.
struct Traffic {
    double bytes = 0, flops = 0;
};

// Operations of a lane's exponential, for what is made of it (kernels/cpu/math.hpp).
inline constexpr double kExponential = 20;

// One, and as many as the processor has.
const std::vector<int>& thread_counts();

// This machine, for implementations that it can run whether it prefers them or not.
const Machine& capable_machine();

// The rates of a call that took `seconds`, and their share of what the machine can do.
void report(benchmark::State& state, const Traffic& traffic, double seconds, std::string_view implementation,
            int threads);

// The arguments made last: large ones do not fit in memory together, so benchmarks run case by case.
struct Held {
    std::shared_ptr<const void> of;
    std::shared_ptr<void> call;
    DeviceArrays arrays;
};
inline Held held;

template <class Call, class Case>
Call& call_of(const std::shared_ptr<const Case>& wanted) {
    if (held.of != wanted) {
        held = {};
        held = {wanted, std::make_shared<Call>(*wanted), {}};
    }
    return *static_cast<Call*>(held.call.get());
}

// Packed weights are for one family, all other arguments for everybody.
template <class Args, class Call>
Args args_of(Call& call, Family family) {
    if constexpr (requires { call.args(family); })
        return call.args(family);
    else
        return call.args();
}

// The same arguments with every array that the operation reaches in the GPU's memory.
template <class Args>
using OnDevice = Args (*)(const Args&, DeviceArrays&);

// How an operation is measured. Without `on_device`, what it does for a GPU is done when it returns, on the
// host's memory.
template <class Args>
struct Measure {
    Traffic (*traffic)(const Args&);
    OnDevice<Args> on_device;
};

// Calls of large cases are queued one behind the other, so that the host is not waited for; weights come in
// turns. Small ones are only tried.
template <class Call, class Args, class Case>
void time_on_device(benchmark::State& state, const Kernel<Args>& kernel,
                    const std::shared_ptr<const Case>& of, const Measure<Args>& measure) {
    if (!kernel.fits({}, capable_machine())) return state.SkipWithError("no GPU");
    Call& call = call_of<Call>(of);
    const std::size_t count = of->large ? 16 : 1;
    std::vector<Args> turns;
    while (turns.size() < count)
        turns.push_back(measure.on_device(args_of<Args>(call, kernel.family), held.arrays));
    const Execution execution = device_execution(workspace_of(kernel, turns.front()));
    double best = 1e9;
    const auto run = [&] {
        const double seconds = device_seconds([&] {
            for (const Args& args : turns) kernel.run(args, execution);
        });
        best = std::min(best, std::max(seconds / static_cast<double>(count), 1e-9));
    };
    run();
    for (auto _ : state) {
        run();
        state.SetIterationTime(best);
    }
    report(state, measure.traffic(args_of<Args>(call, kernel.family)), best, kernel.name, 1);
}

// An iteration counts as the fastest so far: other work on the machine only adds to times, and a mean would
// measure the neighbours.
template <class Call, class Args, class Case>
void time_case(benchmark::State& state, const Kernel<Args>& kernel, const std::shared_ptr<const Case>& of,
               const Measure<Args>& measure, int threads) {
    using Clock = std::chrono::steady_clock;
    if (!kernel.fits({}, capable_machine())) return state.SkipWithError("not on this processor");
    Call& call = call_of<Call>(of);
    double best = 1e9;
    const auto run = [&] {
        const Args args = args_of<Args>(call, kernel.family);
        const auto start = Clock::now();
        kernel.run(args, {threads});
        best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
    };
    for (int i = 0; i < 2; ++i) run();  // for what is so long that it is iterated once
    for (auto _ : state) {
        run();
        state.SetIterationTime(best);
    }
    report(state, measure.traffic(args_of<Args>(call, kernel.family)), best, kernel.name, threads);
}

template <class Call, class Args, class Case>
void register_case(const std::string& name, const Kernel<Args>& kernel, const std::shared_ptr<const Case>& of,
                   const Measure<Args>& measure, int threads) {
    const bool on_device = kernel.family == Family::Cuda && measure.on_device != nullptr;
    const auto run = [=, &kernel](benchmark::State& state) {
        if (on_device)
            time_on_device<Call>(state, kernel, of, measure);
        else
            time_case<Call>(state, kernel, of, measure, threads);
    };
    benchmark::RegisterBenchmark(name.c_str(), run)->UseManualTime()->Unit(benchmark::kMicrosecond);
}

// Call(case).args() are the arguments. The reference is left out where it would take long. Returns true, to
// be called while the program is loaded.
template <class Call, class Args, class Case>
bool register_cases(std::string_view operation, const std::vector<Case>& cases,
                    const Measure<Args>& measure) {
    constexpr std::int64_t kMostForReference = std::int64_t{1} << 22;
    for (const Case& each : cases) {
        const auto of = std::make_shared<const Case>(each);
        for (const Kernel<Args>& kernel : kernels::kernels<Args>()) {
            if (kernel.family == Family::Reference && each.elements() > kMostForReference) continue;
            for (const int threads : thread_counts()) {
                if (kernel.family == Family::Cuda && threads > 1) continue;
                register_case<Call>(fmt::format("{}/{}/{}{}/T:{}", operation, kernel.name,
                                                each.large ? "" : "small:", each.name(), threads),
                                    kernel, of, measure, threads);
            }
        }
    }
    return true;
}

// Of the GPU alone.
template <class Call, class Args, class Case>
bool register_v3(std::string_view operation, const std::vector<Case>& cases, const Measure<Args>& measure) {
    for (const Case& each : cases) {
        const auto of = std::make_shared<const Case>(each);
        for (const Kernel<Args>& kernel : kernels::kernels<Args>()) {
            if (kernel.family != Family::Cuda) continue;
            register_case<Call>(fmt::format("v3/{}/{}/{}/T:1", operation, kernel.name, each.name()), kernel,
                                of, measure, 1);
        }
    }
    return true;
}

}  // namespace sluice::bench
