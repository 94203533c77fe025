#include "bench/device.hpp"

#include "kernels/cuda/event.hpp"
#include "kernels/cuda/memory.hpp"

#include <cstring>

namespace sluice::bench {

namespace cuda = kernels::cuda;

std::shared_ptr<std::byte> copy_to_device(const void* bytes, std::size_t count) {
    std::shared_ptr<std::byte> memory = cuda::allocate_block(count);
    const auto* from = static_cast<const std::byte*>(bytes);
    cuda::upload(memory.get(), count, 1, [&](std::size_t first, std::span<std::byte> items) {
        std::memcpy(items.data(), from + first, items.size());
    });
    return memory;
}

kernels::Execution device_execution(std::size_t workspace_bytes) {
    static std::shared_ptr<std::byte> workspace;
    static std::size_t held = 0;
    if (workspace_bytes > held) {
        workspace.reset();  // first, lest both need room
        workspace = cuda::allocate_block(workspace_bytes);
        held = workspace_bytes;
    }
    return {1, nullptr, workspace.get(), held};
}

double device_seconds(const std::function<void()>& queue) {
    static cuda::Event start, end;
    start.record(nullptr);
    queue();
    end.record(nullptr);
    end.wait();
    return end.seconds_since(start);
}

}  // namespace sluice::bench
