#include "kernels/cpu/ceilings.hpp"

#include "core/error.hpp"
#include "kernels/cpu/ceilings_isa.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/kernel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>

namespace sluice::kernels::cpu {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kRoundBytes = kSumFloats * static_cast<std::int64_t>(sizeof(float));

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

const CeilingIsa& isa_of(std::string_view level) {
#if defined(__x86_64__)
    if (level == "avx512_bf16") return kCeilingAvx512Bf16;
    if (level == "avx512") return kCeilingAvx512;
    if (level == "avx2") return kCeilingAvx2;
#endif
    expect(level == "generic", "no ceiling of level {}", level);
    return kCeilingGeneric;
}

}  // namespace

ReadStream::ReadStream(std::size_t bytes, int threads)
    : bytes_(bytes / kRoundBytes * kRoundBytes), threads_(threads), memory_(allocate_bytes(bytes_)) {
    auto* values = reinterpret_cast<float*>(memory_.get());
    over_rows(static_cast<std::int64_t>(bytes_) / kRoundBytes, kSumFloats, threads_,
              [&](std::int64_t begin, std::int64_t end) {
                  std::fill(values + begin * kSumFloats, values + end * kSumFloats, 0.5F);
              });
}

double ReadStream::read_rate() const {
    const CeilingIsa& isa = isa_of(level_of(this_machine()));
    const auto* values = reinterpret_cast<const float*>(memory_.get());
    std::atomic<float> total = 0;
    const Clock::time_point start = Clock::now();
    over_rows(static_cast<std::int64_t>(bytes_) / kRoundBytes, kSumFloats, threads_,
              [&](std::int64_t begin, std::int64_t end) {
                  total += isa.sum(values + begin * kSumFloats, end - begin);
              });
    const double seconds = seconds_since(start);
    expect(total > 0, "a stream without values");
    return static_cast<double>(bytes_) / std::max(seconds, 1e-9);
}

double multiply_rate(std::string_view level, int threads, std::int64_t steps) {
    const CeilingIsa& isa = isa_of(level);
    std::atomic<double> operations = 0;
    const Clock::time_point start = Clock::now();
    over_tasks(threads, threads, [&](std::int64_t) { operations += isa.multiply(steps); });
    return operations / std::max(seconds_since(start), 1e-9);
}

}  // namespace sluice::kernels::cpu
