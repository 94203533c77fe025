#include "backend/cuda_backend.hpp"

#include "backend/cuda_recording.hpp"
#include "backend/devices.hpp"
#include "core/error.hpp"
#include "core/units.hpp"
#include "kernels/cuda/check.hpp"

#include <algorithm>
#include <cstring>

#include <cuda_runtime_api.h>

namespace sluice {
namespace {

constexpr std::size_t at_least_one(std::size_t bytes) { return std::max<std::size_t>(bytes, 1); }

// Of the device that the calling thread uses.
class DeviceMemory : public Memory {
public:
    Place place() const override { return Place::Cuda; }

    void* allocate(std::size_t bytes) override {
        void* data = nullptr;
        const cudaError_t result = cudaMalloc(&data, at_least_one(bytes));
        if (result == cudaErrorMemoryAllocation) {
            cudaGetLastError();  // or the next check would find it
            std::size_t free = 0, total = 0;
            SLUICE_CUDA_CHECK(cudaMemGetInfo(&free, &total));
            fail(ExitCode::Internal, "cannot allocate {} of the GPU's memory: {} of {} are free",
                 bytes_text(bytes), bytes_text(free), bytes_text(total));
        }
        SLUICE_CUDA_CHECK(result);
        SLUICE_CUDA_CHECK(cudaMemset(data, 0, at_least_one(bytes)));
        SLUICE_CUDA_CHECK(cudaStreamSynchronize(nullptr));  // our own streams do not wait for this one
        return data;
    }

    void release(void* data, std::size_t) noexcept override { cudaFree(data); }
};

// The host's, but the device reads and writes it itself.
class PinnedMemory : public Memory {
public:
    Place place() const override { return Place::Host; }

    void* allocate(std::size_t bytes) override {
        void* data = nullptr;
        SLUICE_CUDA_CHECK(cudaMallocHost(&data, at_least_one(bytes)));
        std::memset(data, 0, bytes);
        return data;
    }

    void release(void* data, std::size_t) noexcept override { cudaFreeHost(data); }
};

// The memories are the process's, so that tensors may outlive the backend.
class CudaBackend : public Backend {
public:
    explicit CudaBackend(int device) {
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

private:
    cudaStream_t stream_ = nullptr;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend(int device) {
    const std::string obstacle = cuda_obstacle();
    require(obstacle.empty(), ExitCode::Usage, "no GPU to compute on: {}", obstacle);
    return std::make_unique<CudaBackend>(device);
}

}  // namespace sluice
