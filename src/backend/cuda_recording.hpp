// What is queued in a CUDA stream, recorded as a graph.
#pragma once

#include "backend/backend.hpp"

#include <functional>
#include <memory>

namespace sluice {

// Backend::record() of the stream, a cudaStream_t but not the default one.
std::unique_ptr<Recording> record_stream(void* stream, const std::function<void()>& queue);

}  // namespace sluice
