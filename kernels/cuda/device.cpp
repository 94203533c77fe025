#include "kernels/cuda/device.hpp"

#include "core/error.hpp"
#include "kernels/cuda/check.cuh"

#include <cstdlib>
#include <map>
#include <string_view>
#include <utility>

namespace sluice::kernels::cuda {
namespace {

// Streaming copies, bfloat16 products and reductions of a warp begin with Ampere; the largest tiles need the
// shared memory that A100, H100 and later ones of their class have.
constexpr int kLeastMajor = 8;
constexpr int kLeastSharedBytes = 160 * 1024;

bool ask_thread() {
    int count = 0, device = 0;
    const bool some =
        cudaGetDeviceCount(&count) == cudaSuccess && count > 0 && cudaGetDevice(&device) == cudaSuccess;
    if (!some) cudaGetLastError();  // or the next check would find it
    return some && obstacle_of(device).empty();
}

bool wants_overlap() {
    const char* text = std::getenv("SLUICE_OVERLAP");
    const std::string_view wish = text == nullptr ? "on" : text;
    require(wish == "on" || wish == "off", ExitCode::Usage,
            "SLUICE_OVERLAP={}: expected on or off (or leave it unset)", wish);
    return wish == "on";
}

}  // namespace

std::string obstacle_of(int device) {
    int major = 0, minor = 0, shared = 0;
    const auto ask = [&](int& answer, cudaDeviceAttr what, cudaError_t before) {
        return before == cudaSuccess ? cudaDeviceGetAttribute(&answer, what, device) : before;
    };
    cudaError_t result = cudaSetDevice(device);
    result = ask(major, cudaDevAttrComputeCapabilityMajor, result);
    result = ask(minor, cudaDevAttrComputeCapabilityMinor, result);
    result = ask(shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, result);
    if (result == cudaSuccess && (major < kLeastMajor || shared < kLeastSharedBytes)) {
        return fmt::format(
            "the kernels are for GPUs of the class of A100, H100 and later ones, not for sm_{}{}", major,
            minor);
    }
    if (result == cudaSuccess) result = find_kernels();
    if (result == cudaSuccess) return "";
    cudaGetLastError();  // or the next check would find it
    if (result == cudaErrorNoKernelImageForDevice || result == cudaErrorInvalidDeviceFunction) {
        return fmt::format(
            "this program holds no kernels for sm_{0}{1} (build it with -DSLUICE_CUDA_ARCHITECTURES={0}{1})",
            major, minor);
    }
    return fmt::format("GPU {} cannot be used ({})", device, cudaGetErrorString(result));
}

bool available() {
    static const bool answer = ask_thread();
    return answer;
}

bool has_wgmma() {
    static const bool answer = available() && find_wgmma();
    return answer;
}

bool launches_overlap() {
    static const bool answer = wants_overlap() && available() && find_overlap();
    return answer;
}

void check_overlap_wish() { wants_overlap(); }

void allow_shared_memory(const void* kernel, int bytes) {
    thread_local std::map<std::pair<int, const void*>, int> allowed;
    int device = 0;
    SLUICE_CUDA_CHECK(cudaGetDevice(&device));
    int& most = allowed[{device, kernel}];
    if (bytes <= most) return;
    SLUICE_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    most = bytes;
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
