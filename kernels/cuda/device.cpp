#include "kernels/cuda/device.hpp"

#include "core/error.hpp"
#include "kernels/cuda/check.hpp"

namespace sluice::kernels::cuda {
namespace {

// Streaming copies, bfloat16 products and reductions of a warp begin with Ampere; the largest tiles need the
// shared memory that A100, H100 and later ones of their class have.
constexpr int kLeastMajor = 8;
constexpr int kLeastSharedBytes = 160 * 1024;

bool ask() {
    int count = 0, major = 0, shared = 0;
    const auto ask_first = [](int& answer, cudaDeviceAttr what) {
        return cudaDeviceGetAttribute(&answer, what, 0) == cudaSuccess;
    };
    const bool answered = cudaGetDeviceCount(&count) == cudaSuccess && count > 0 &&
                          ask_first(major, cudaDevAttrComputeCapabilityMajor) &&
                          ask_first(shared, cudaDevAttrMaxSharedMemoryPerBlockOptin);
    if (!answered) cudaGetLastError();  // or the next check would find it
    return answered && major >= kLeastMajor && shared >= kLeastSharedBytes;
}

}  // namespace

bool available() {
    static const bool answer = ask();
    return answer;
}

void synchronize(const Execution& execution) {
    SLUICE_CUDA_CHECK(cudaStreamSynchronize(static_cast<cudaStream_t>(execution.stream)));
}

void fail_call(int error, const char* call, const char* file, int line) {
    const auto code = static_cast<cudaError_t>(error);
    fail(ExitCode::Internal, "{}:{}: {}: {} ({})", file, line, call, cudaGetErrorName(code),
         cudaGetErrorString(code));
}

}  // namespace sluice::kernels::cuda
