#include "backend/cuda_measure.hpp"

#include "backend/available_memory.hpp"
#include "kernels/cuda/ceilings.hpp"
#include "kernels/cuda/event.hpp"

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

using kernels::cuda::Event;

// Events are kept: once there are as many as a step has operations, a step makes no more.
class CudaTimer final : public OpTimer {
public:
    CudaTimer(OpClock& clock, void* stream) : clock_(clock), stream_(stream) {}
    void begin(std::string_view op) override {
        if (used_ == kMostLaps) {
            laps_.back().end.wait();
            settle();
        }
        if (used_ == laps_.size()) laps_.emplace_back();
        laps_[used_].op = op;
        laps_[used_].begin.record(stream_);
    }
    void end() override { laps_[used_++].end.record(stream_); }
    void settle() override {
        for (std::size_t i = 0; i < used_; ++i)
            clock_.add(laps_[i].op, laps_[i].end.seconds_since(laps_[i].begin));
        used_ = 0;
    }

private:
    static constexpr std::size_t kMostLaps = 8192;
    struct Lap {
        std::string_view op;
        Event begin, end;
    };

    OpClock& clock_;
    void* stream_;
    std::vector<Lap> laps_;
    std::size_t used_ = 0;  // since the last settling
};

class CudaCeilings final : public CeilingMeter {
public:
    CudaCeilings(std::size_t bytes, void* stream) : memory_(bytes), execution_{1, stream} {}
    double read_rate() const override { return memory_.read_rate(execution_); }
    double multiply_rate() const override { return kernels::cuda::mma_sync_rate(execution_); }

private:
    kernels::cuda::StreamMemory memory_;
    kernels::Execution execution_;
};

// Ranks may share the device.
constexpr std::uint64_t kShareOfFree = 8;

}  // namespace

std::unique_ptr<OpTimer> make_cuda_timer(OpClock& clock, void* stream) {
    return std::make_unique<CudaTimer>(clock, stream);
}

std::unique_ptr<CeilingMeter> make_cuda_ceilings(std::size_t bytes, int device, void* stream) {
    if (bytes == 0)
        bytes = std::min<std::size_t>(kernels::cuda::kStreamBytes,
                                      available_memory(kernels::Family::Cuda, device) / kShareOfFree);
    return std::make_unique<CudaCeilings>(bytes, stream);
}

}  // namespace sluice
