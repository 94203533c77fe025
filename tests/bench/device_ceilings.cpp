#include "bench/device.hpp"
#include "kernels/cuda/ceilings.hpp"

#include <algorithm>
#include <utility>

namespace sluice::bench {
namespace {

namespace cuda = kernels::cuda;

constexpr int kPasses = 5;  // of which the fastest counts

template <class Pass>
double fastest(Pass pass) {
    double best = 0;
    for (int i = 0; i < kPasses; ++i) best = std::max(best, pass());
    return best;
}

// Of reading and of copying.
const std::pair<double, double>& stream_rates() {
    static const std::pair rates = [] {
        const cuda::StreamMemory stream(cuda::kStreamBytes);
        return std::pair(fastest([&] { return stream.read_rate({}); }),
                         fastest([&] { return stream.copy_rate({}); }));
    }();
    return rates;
}

}  // namespace

double device_read_rate() { return stream_rates().first; }
double device_copy_rate() { return stream_rates().second; }
double device_multiply_rate() {
    static const double rate = fastest([] { return cuda::mma_sync_rate({}); });
    return rate;
}

}  // namespace sluice::bench
