#include "backend/backend.hpp"

#include "backend/cuda_backend.hpp"

#include <cstring>

namespace sluice {
namespace {

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
};

}  // namespace

std::unique_ptr<Backend> make_backend(kernels::Family family, int device) {
    if (family == kernels::Family::Cuda) return make_cuda_backend(device);
    return std::make_unique<HostBackend>();
}

}  // namespace sluice
