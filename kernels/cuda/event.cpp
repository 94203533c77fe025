#include "kernels/cuda/event.hpp"

#include "kernels/cuda/check.cuh"

namespace sluice::kernels::cuda {

Event::Event() {
    cudaEvent_t event = nullptr;
    SLUICE_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDefault));
    event_.reset(event);
}

void Event::record(void* stream) {
    SLUICE_CUDA_CHECK(
        cudaEventRecord(static_cast<cudaEvent_t>(event_.get()), static_cast<cudaStream_t>(stream)));
}

void Event::wait() const { SLUICE_CUDA_CHECK(cudaEventSynchronize(static_cast<cudaEvent_t>(event_.get()))); }

double Event::seconds_since(const Event& start) const {
    float milliseconds = 0;
    SLUICE_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(start.event_.get()),
                                           static_cast<cudaEvent_t>(event_.get())));
    return 1e-3 * static_cast<double>(milliseconds);
}

// Fails only where the runtime ended before: then nothing is left to destroy.
void Event::Destroy::operator()(void* event) const { cudaEventDestroy(static_cast<cudaEvent_t>(event)); }

}  // namespace sluice::kernels::cuda
