// The GPU, for benchmarks: arguments in its memory, time by its own clock. In a build without CUDA nothing
// asks for it, for the tables then have no entries that would.
#pragma once

#include "kernels/execution.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace sluice::bench {

// The same bytes in the GPU's memory.
std::shared_ptr<std::byte> copy_to_device(const void* bytes, std::size_t count);

// How operations are queued there, with a workspace of so many bytes: until the next call.
kernels::Execution device_execution(std::size_t workspace_bytes);

// What is queued by `queue`, by the GPU's clock.
double device_seconds(const std::function<void()>& queue);

// Bytes and operations a second (kernels/cuda/ceilings.hpp), measured when first asked for.
double device_read_rate();
double device_copy_rate();
double device_multiply_rate();

// Of a call's arrays, copies in the GPU's memory: of each array one, however often it is asked for.
class DeviceArrays {
public:
    // `count` values, as they are when they are first asked for. Null, and no values, stay null.
    template <class T>
    T* of(T* values, std::int64_t count) {
        if (values == nullptr || count == 0) return nullptr;
        std::shared_ptr<std::byte>& copy = copies_[values];
        if (copy == nullptr) copy = copy_to_device(values, static_cast<std::size_t>(count) * sizeof(T));
        return reinterpret_cast<T*>(copy.get());
    }
    template <class T>
    std::span<const T> of(std::span<const T> values) {
        return {of(values.data(), static_cast<std::int64_t>(values.size())), values.size()};
    }
    // The host's own, as long as this lives.
    template <class T>
    std::span<const T> keep(std::vector<T> values) {
        const auto kept = std::make_shared<const std::vector<T>>(std::move(values));
        kept_.push_back(kept);
        return *kept;
    }

private:
    std::map<const void*, std::shared_ptr<std::byte>> copies_;
    std::vector<std::shared_ptr<const void>> kept_;
};

}  // namespace sluice::bench
