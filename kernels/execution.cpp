#include "kernels/execution.hpp"

#ifdef SLUICE_WITH_CUDA
#include "kernels/cuda/device.hpp"
#endif

namespace sluice::kernels {

void synchronize([[maybe_unused]] Family family, [[maybe_unused]] const Execution& execution) {
#ifdef SLUICE_WITH_CUDA
    if (family == Family::Cuda) cuda::synchronize(execution);
#endif
}

}  // namespace sluice::kernels
