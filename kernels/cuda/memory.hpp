// Memory of the GPU that the calling thread uses, and how the host fills it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

namespace sluice::kernels::cuda {

// Where blocks begin; they take whole multiples.
inline constexpr std::size_t kBlockAlignment = 256;
constexpr std::size_t aligned(std::size_t bytes) {
    return (bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
}

// Undefined content, aligned to 256 bytes. ExitCode::Internal, with what is free, where there is not enough.
void* allocate(std::size_t bytes);
void release(void* memory) noexcept;

// Likewise, given back with the last owner.
std::shared_ptr<std::byte> allocate_block(std::size_t bytes);

// Claims memory for the blocks that this thread allocates while the answer lives: as long as there is room
// they lie in it side by side, and it is given back with the last of them. The runtime rounds up each claim
// to 2 MiB, so many claims would take more than was counted.
std::shared_ptr<void> claim_for_blocks(std::size_t bytes);

// Writes count items of `each` bytes, one behind the other, to device memory: fill(first, items) is asked for
// the bytes of some items after others, while those before are on their way. Done when it returns.
void upload(std::byte* to, std::size_t count, std::size_t each,
            const std::function<void(std::size_t first, std::span<std::byte> items)>& fill);

}  // namespace sluice::kernels::cuda
