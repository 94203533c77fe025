// Products against what this machine can do: the weight bytes read a second against a plain read of memory,
// and multiply-adds a second against the peak of the instruction they use. Both ceilings are measured first,
// with the same number of threads. Rates are of the fastest of many runs: on a machine with other work a mean
// measures the neighbours.
//
//   product_bench --benchmark_filter='cpu.avx512_bf16/.*/M:1/'
#include "kernels/args.hpp"
#include "kernels/cpu/memory.hpp"
#include "kernels/kernel.hpp"
#include "kernels/random.hpp"

#include <benchmark/benchmark.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace sluice;
using namespace sluice::kernels;
using Clock = std::chrono::steady_clock;

// Seconds of the fastest of the runs that fit in `limit` seconds, at least 3.
template <class Run>
double fastest(double limit, Run run) {
    double best = 1e9, spent = 0;
    for (int i = 0; i < 3 || spent < limit; ++i) {
        const auto start = Clock::now();
        run();
        const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
        best = std::min(best, seconds);
        spent += seconds;
    }
    return best;
}

constexpr std::int64_t kStreamBytes = std::int64_t{768} << 20U;  // well beyond every cache

// Bytes a second that `threads` threads sum from memory.
double read_rate(int threads) {
    static std::map<int, double> known;
    static const cpu::Bytes memory = [] {
        cpu::Bytes bytes = cpu::allocate_bytes(static_cast<std::size_t>(kStreamBytes));
        std::memset(bytes.get(), 1, static_cast<std::size_t>(kStreamBytes));
        return bytes;
    }();
    if (known.contains(threads)) return known[threads];
    const auto* words = reinterpret_cast<const std::uint64_t*>(memory.get());
    const double seconds = fastest(1.5, [&] {
        std::uint64_t sum = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : sum) schedule(static)
        for (std::int64_t i = 0; i < kStreamBytes / 8; i += 8) {
            for (std::int64_t j = i; j < i + 8; ++j) sum += words[j];
        }
        benchmark::DoNotOptimize(sum);
    });
    return known[threads] = static_cast<double>(kStreamBytes) / seconds;
}

// Chains of the multiply-add that a kernel is made of, in registers alone: returns the operations done (a
// multiply and an add count as two).
constexpr std::int64_t kPeakSteps = 2'000'000;
constexpr int kChains = 12;

#if defined(__x86_64__)
[[gnu::target("avx512f,avx512bf16")]] double chains_avx512_bf16() {
    __m512 sum[kChains] = {};
    const auto a = reinterpret_cast<__m512bh>(_mm512_set1_epi32(0x3c003c00));
    for (std::int64_t i = 0; i < kPeakSteps; ++i) {
#pragma GCC unroll 12
        for (__m512& s : sum) {
            s = _mm512_dpbf16_ps(s, a, a);
            asm volatile("" : "+v"(s));
        }
    }
    return kPeakSteps * kChains * 64.0;
}
[[gnu::target("avx512f")]] double chains_avx512() {
    __m512 sum[kChains] = {};
    const __m512 a = _mm512_set1_ps(0.01F);
    for (std::int64_t i = 0; i < kPeakSteps; ++i) {
#pragma GCC unroll 12
        for (__m512& s : sum) {
            s = _mm512_fmadd_ps(a, a, s);
            asm volatile("" : "+v"(s));
        }
    }
    return kPeakSteps * kChains * 32.0;
}
[[gnu::target("avx2,fma")]] double chains_avx2() {
    __m256 sum[kChains] = {};
    const __m256 a = _mm256_set1_ps(0.01F);
    for (std::int64_t i = 0; i < kPeakSteps; ++i) {
#pragma GCC unroll 12
        for (__m256& s : sum) {
            s = _mm256_fmadd_ps(a, a, s);
            asm volatile("" : "+v"(s));
        }
    }
    return kPeakSteps * kChains * 16.0;
}
#endif

// Operations a second at most, or 0 where no peak is defined (portable code).
double peak_rate(std::string_view kernel, int threads) {
    static std::map<std::pair<std::string_view, int>, double> known;
    double (*chains)() = nullptr;
#if defined(__x86_64__)
    if (kernel == "cpu.avx512_bf16") chains = chains_avx512_bf16;
    if (kernel == "cpu.avx512") chains = chains_avx512;
    if (kernel == "cpu.avx2") chains = chains_avx2;
#endif
    if (chains == nullptr) return 0;
    double& rate = known[{kernel, threads}];
    if (rate != 0) return rate;
    double operations = 0;
    const double seconds = fastest(0.5, [&] {
        double done = 0;
#pragma omp parallel num_threads(threads) reduction(+ : done)
        done += chains();
        operations = done;
    });
    return rate = operations / seconds;
}

struct Shape {
    std::int64_t m, n, k;
};

// Enough copies of a weight that none stays in a cache from one use to the next. fp8 has blocks of 128 x 128,
// int8 a scale an output, so that all of k is one block.
struct Weights {
    Weights(const Shape& shape, DType dtype) {
        const bool fp8_weights = dtype == DType::F8E4M3;
        const std::int64_t elements = shape.n * shape.k;
        std::vector<std::uint8_t> values(static_cast<std::size_t>(elements * 2));
        for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
            const std::uint64_t bits = mix64(i);
            values[i] = static_cast<std::uint8_t>(bits & 0xbfU);  // fp8: no NaN; bf16: magnitudes near one
            values[i + 1] =
                static_cast<std::uint8_t>(fp8_weights ? (bits >> 8U) & 0xbfU : 0x3cU | (bits & 0x80U));
        }
        const std::vector<float> scales(
            static_cast<std::size_t>(std::max(shape.n, (shape.n + 127) / 128 * ((shape.k + 127) / 128))),
            0.01F);
        HostMatrix matrix;
        matrix.values = values.data();
        matrix.dtype = dtype;
        matrix.rows = shape.n;
        matrix.cols = matrix.row_stride = shape.k;
        if (fp8_weights) {
            matrix.scales = scales.data();
            matrix.block_rows = matrix.block_cols = 128;
            matrix.scale_row_stride = (shape.k + 127) / 128;
        }
        if (dtype == DType::I8) {
            matrix.scales = scales.data();
            matrix.block_cols = shape.k;
            matrix.scale_row_stride = 1;
        }
        const std::vector<WeightPart> parts = {{matrix, 0, 0}};
        PackArgs args;
        args.parts = parts;
        args.products = fp8_weights ? Products::Fp8 : Products::Bf16;
        std::int64_t held = 0;
        while (held < kStreamBytes) {
            args.out = &copies.emplace_back();
            choose(Family::Cpu, args, this_machine()).run(args, {1});
            held += static_cast<std::int64_t>(copies.back()->bytes);
        }
    }
    std::vector<Packed> copies;
};

// The weights of the last shape asked for: benchmarks run shape by shape.
const Weights& weights_of(const Shape& shape, DType dtype) {
    static std::string held;
    static std::unique_ptr<Weights> weights;
    const std::string wanted = fmt::format("{} {} {}", shape.n, shape.k, name_of(dtype));
    if (held != wanted) {
        weights = nullptr;
        weights = std::make_unique<Weights>(shape, dtype);
        held = wanted;
    }
    return *weights;
}

double product_seconds(const Kernel<ProductArgs>& kernel, const std::vector<Packed>& copies,
                       std::int64_t rows, int threads, double limit) {
    std::vector<float> x(static_cast<std::size_t>(rows * copies[0]->cols));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(uniform(1, i) - 0.5);
    std::vector<float> out(static_cast<std::size_t>(rows * copies[0]->rows));
    std::size_t turn = 0;
    return fastest(limit, [&] {
        const PackedWeight* weight = copies[turn++ % copies.size()].get();
        const std::vector<ProductJob> jobs = {
            {weight, x.data(), weight->cols, nullptr, rows, out.data(), weight->rows, 0}};
        kernel.run({jobs}, {threads});
        benchmark::DoNotOptimize(out.data());
    });
}

void run(benchmark::State& state, const Kernel<ProductArgs>* kernel, Shape shape, DType dtype, int threads) {
    const Weights& weights = weights_of(shape, dtype);
    double best = 1e9;
    for (auto _ : state) {
        const double seconds = product_seconds(*kernel, weights.copies, shape.m, threads, 0.5);
        state.SetIterationTime(seconds);
        best = std::min(best, seconds);
    }
    const double bytes = static_cast<double>(weights.copies[0]->bytes) / best;
    state.counters["GB/s"] = bytes * 1e-9;
    state.counters["%read"] = 100 * bytes / read_rate(threads);
    const double rate = 2 * static_cast<double>(shape.m * shape.n * shape.k) / best;
    state.counters["GFLOP/s"] = rate * 1e-9;
    const double peak = peak_rate(kernel->name, threads);
    if (peak > 0) state.counters["%peak"] = 100 * rate / peak;
}

void register_all(const Machine& machine) {
    for (const Kernel<ProductArgs>& kernel : kernels::kernels<ProductArgs>()) {
        if (kernel.family == Family::Reference || !kernel.fits({}, machine)) continue;
        for (const auto& [n, k] : {std::pair{4096, 1024}, {1024, 4096}, {2048, 7168}, {7168, 2048}}) {
            for (const DType dtype : {DType::BF16, DType::F8E4M3, DType::I8}) {
                for (const int m : {1, 4, 16, 64, 512}) {
                    for (const int threads : {1, 2}) {
                        const std::string name = fmt::format("{}/{}/N:{}/K:{}/M:{}/T:{}", kernel.name,
                                                             name_of(dtype), n, k, m, threads);
                        benchmark::RegisterBenchmark(name.c_str(), run, &kernel, Shape{m, n, k}, dtype,
                                                     threads)
                            ->Iterations(2)
                            ->UseManualTime()
                            ->Unit(benchmark::kMicrosecond);
                    }
                }
            }
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    Machine machine = this_machine();
    machine.slow_bf16_dot = false;  // measured, preferred or not
    for (const int threads : {1, 2})
        fmt::print(
            "{} thread(s): memory read {:.1f} GB/s; peak {:.0f} GFLOP/s avx512_bf16, {:.0f} avx512, {:.0f} "
            "avx2\n",
            threads, read_rate(threads) * 1e-9,
            machine.avx512_bf16 ? peak_rate("cpu.avx512_bf16", threads) * 1e-9 : 0,
            machine.avx512 ? peak_rate("cpu.avx512", threads) * 1e-9 : 0,
            machine.avx2 ? peak_rate("cpu.avx2", threads) * 1e-9 : 0);
    register_all(machine);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
