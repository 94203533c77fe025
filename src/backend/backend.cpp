#include "backend/backend.hpp"

#include "backend/cuda_backend.hpp"
#include "kernels/cpu/ceilings.hpp"
#include "kernels/kernel.hpp"

#include <cstring>

namespace sluice {
namespace {

class HostCeilings : public CeilingMeter {
public:
    HostCeilings(std::size_t bytes, int threads)
        : memory_(bytes == 0 ? kernels::cpu::kStreamBytes : bytes, threads), threads_(threads) {}
    double read_rate() const override { return memory_.read_rate(); }
    double multiply_rate() const override {
        return kernels::cpu::multiply_rate(kernels::level_of(kernels::this_machine()), threads_);
    }

private:
    kernels::cpu::ReadStream memory_;
    int threads_;
};

// Operations are done when they return, and work on the host's own memory.
class HostBackend : public Backend {
public:
    Memory& memory() const override { return host_memory(); }
    Memory& staging() const override { return host_memory(); }
    void* stream() const override { return nullptr; }
    void upload(const void* from, void* to, std::size_t bytes) const override {
        std::memcpy(to, from, bytes);
    }
    void download(const void* from, void* to, std::size_t bytes) const override {
        std::memcpy(to, from, bytes);
    }
    std::unique_ptr<Recording> record(const std::function<void()>&) const override { return nullptr; }
    std::unique_ptr<OpTimer> timer(OpClock& clock) const override { return make_host_timer(clock); }
    std::unique_ptr<CeilingMeter> ceilings(std::size_t bytes, int threads) const override {
        return std::make_unique<HostCeilings>(bytes, threads);
    }
};

}  // namespace

std::unique_ptr<Backend> make_backend(kernels::Family family, int device) {
    if (family == kernels::Family::Cuda) return make_cuda_backend(device);
    return std::make_unique<HostBackend>();
}

}  // namespace sluice
