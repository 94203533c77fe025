// The device's memory, apart from the host's: the host that touches it dies of it, as it would with a GPU.
#pragma once

#include <cstddef>
#include <mutex>

namespace sluice::emulation {

// Aligned to 256 bytes and filled with NaN patterns; null where there is no room.
void* allocate_on_device(std::size_t bytes);
void free_on_device(void* memory);
// As a GPU counts them: from 1 MiB on, a claim takes whole pieces of 2 MiB.
std::size_t claimed_on_device();

// While it lives, the calling thread alone works on the device, and reaches its memory.
class DeviceTurn {
public:
    DeviceTurn();
    DeviceTurn(const DeviceTurn&) = delete;
    DeviceTurn& operator=(const DeviceTurn&) = delete;
    ~DeviceTurn();

private:
    std::lock_guard<std::mutex> lock_;
};

}  // namespace sluice::emulation
