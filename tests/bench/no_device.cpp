#include "bench/device.hpp"
#include "core/error.hpp"

namespace sluice::bench {
namespace {

[[noreturn]] void refuse() { fail(ExitCode::Internal, "a benchmark of a GPU in a build without CUDA"); }

}  // namespace

std::shared_ptr<std::byte> copy_to_device(const void*, std::size_t) { refuse(); }
kernels::Execution device_execution(std::size_t) { refuse(); }
double device_seconds(const std::function<void()>&) { refuse(); }
double device_read_rate() { refuse(); }
double device_copy_rate() { refuse(); }
double device_multiply_rate() { refuse(); }

}  // namespace sluice::bench
