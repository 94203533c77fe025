// Memory of the GPU, and how the host fills it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

namespace sluice::kernels::cuda {

// Owns device memory, aligned to 256 bytes; its content is undefined. Fails where there is not enough.
class DeviceMemory {
public:
    DeviceMemory() = default;
    explicit DeviceMemory(std::size_t bytes);
    std::byte* data() const { return memory_.get(); }

private:
    struct Free {
        void operator()(std::byte* p) const;
    };
    std::unique_ptr<std::byte, Free> memory_;
};

// Writes count items of `each` bytes, one behind the other, to device memory: fill(first, items) is asked for
// the bytes of some items after others, while those before are on their way. Done when it returns.
void upload(std::byte* to, std::size_t count, std::size_t each,
            const std::function<void(std::size_t first, std::span<std::byte> items)>& fill);

}  // namespace sluice::kernels::cuda
