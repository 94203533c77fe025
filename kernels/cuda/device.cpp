#include "kernels/cuda/device.hpp"

#include "core/error.hpp"
#include "kernels/cuda/check.hpp"

namespace sluice::kernels::cuda {
namespace {

// Streaming copies, bfloat16 products and reductions of a warp begin with Ampere.
constexpr int kLeastMajor = 8;

bool ask() {
    int count = 0;
    int major = 0;
    const bool answered = cudaGetDeviceCount(&count) == cudaSuccess && count > 0 &&
                          cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) == cudaSuccess;
    if (!answered) cudaGetLastError();  // or the next check would find it
    return answered && major >= kLeastMajor;
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
