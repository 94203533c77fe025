#include "backend/cuda_backend.hpp"

#include "backend/cuda_measure.hpp"
#include "backend/cuda_recording.hpp"
#include "backend/devices.hpp"
#include "core/error.hpp"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/memory.hpp"

#include <algorithm>
#include <cstring>

#include <cuda_runtime_api.h>

namespace sluice {
namespace {

// Of the device that the calling thread uses.
class DeviceMemory : public Memory {
public:
    Place place() const override { return Place::Cuda; }

    void* allocate(std::size_t bytes) override {
        void* data = kernels::cuda::allocate(bytes);
        SLUICE_CUDA_CHECK(cudaMemset(data, 0, bytes));
        SLUICE_CUDA_CHECK(cudaStreamSynchronize(nullptr));  // our own streams do not wait for this one
        return data;
    }

    void release(void* data, std::size_t) noexcept override { kernels::cuda::release(data); }
};

// The host's, but the device reads and writes it itself.
class PinnedMemory : public Memory {
public:
    Place place() const override { return Place::Host; }

    void* allocate(std::size_t bytes) override {
        void* data = nullptr;
        SLUICE_CUDA_CHECK(cudaMallocHost(&data, std::max<std::size_t>(bytes, 1)));
        std::memset(data, 0, bytes);
        return data;
    }

    void release(void* data, std::size_t) noexcept override { cudaFreeHost(data); }
};

// The memories are the process's, so that tensors may outlive the backend.
class CudaBackend : public Backend {
public:
    explicit CudaBackend(int device) : device_(device) {
        SLUICE_CUDA_CHECK(cudaSetDevice(device));
        SLUICE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    }
    ~CudaBackend() override { cudaStreamDestroy(stream_); }

    Memory& memory() const override {
        static DeviceMemory memory;
        return memory;
    }
    Memory& staging() const override {
        static PinnedMemory memory;
        return memory;
    }
    std::shared_ptr<void> claim_for_weights(std::size_t bytes) const override {
        return kernels::cuda::claim_for_blocks(bytes);
    }
    void* stream() const override { return stream_; }
    void upload(const void* from, void* to, std::size_t bytes) const override {
        SLUICE_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_));
    }
    void download(const void* from, void* to, std::size_t bytes) const override {
        SLUICE_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_));
    }
    std::unique_ptr<Recording> record(const std::function<void()>& queue) const override {
        return record_stream(stream_, queue);
    }
    std::unique_ptr<OpTimer> timer(OpClock& clock) const override { return make_cuda_timer(clock, stream_); }
    std::unique_ptr<CeilingMeter> ceilings(std::size_t bytes, int) const override {
        return make_cuda_ceilings(bytes, device_, stream_);
    }

private:
    int device_;
    cudaStream_t stream_ = nullptr;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(int device) {
    const std::string obstacle = cuda_obstacle(device);
    require(obstacle.empty(), ExitCode::Usage, "no GPU to compute on: {}", obstacle);
    return std::make_unique<CudaBackend>(device);
}

}  // namespace sluice
