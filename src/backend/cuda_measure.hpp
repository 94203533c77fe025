// Time and ceilings of a GPU, of which builds without CUDA have none.
#pragma once

#include "backend/ceilings.hpp"
#include "backend/op_clock.hpp"

#include <cstddef>
#include <memory>

namespace sluice {

// Of operations that are queued in `stream`, by the GPU's clock: from when all before an operation is done to
// when it is. What the host does meanwhile is in it only where the GPU waits for that.
std::unique_ptr<OpTimer> make_cuda_timer(OpClock& clock, void* stream);

// `bytes`: to read; 0: as many as no cache holds much of, where there is room.
std::unique_ptr<CeilingMeter> make_cuda_ceilings(std::size_t bytes, int device, void* stream);

}  // namespace sluice
