#include "bench/ceilings.hpp"

#include "bench/device.hpp"
#include "kernels/cpu/ceilings.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace sluice::bench {
namespace {

constexpr std::string_view kDevice = "cuda";  // and "cuda.wgmma"
constexpr int kPasses = 5;                    // of which the fastest counts

template <class Pass>
double fastest(Pass pass) {
    double best = 0;
    for (int i = 0; i < kPasses; ++i) best = std::max(best, pass());
    return best;
}

}  // namespace

double read_rate(std::string_view implementation, int threads) {
    if (implementation.starts_with(kDevice)) return device_read_rate();
    static std::map<int, double> known;
    if (!known.contains(threads)) {
        const kernels::cpu::ReadStream stream(kernels::cpu::kStreamBytes, threads);
        known[threads] = fastest([&] { return stream.read_rate(); });
    }
    return known[threads];
}

double peak_rate(std::string_view implementation, int threads) {
    if (implementation.starts_with(kDevice)) return device_multiply_rate();
    constexpr std::string_view kPrefix = "cpu.";
    if (!implementation.starts_with(kPrefix) || implementation.ends_with("generic")) return 0;
    static std::map<std::pair<std::string, int>, double> known;
    const std::pair key(std::string(implementation.substr(kPrefix.size())), threads);
    if (!known.contains(key))
        known[key] = fastest([&] { return kernels::cpu::multiply_rate(key.first, threads); });
    return known[key];
}

}  // namespace sluice::bench
