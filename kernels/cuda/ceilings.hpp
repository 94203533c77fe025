// What a GPU can do at most, by its own clock: how fast it reads and copies its memory, and how fast its
// tensor cores multiply. Kernels are measured against these. Of several runs, take the best.
#pragma once

#include "core/dtype.hpp"
#include "kernels/cuda/memory.hpp"
#include "kernels/execution.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace sluice::kernels::cuda {

// Well beyond every cache of the GPUs that we know.
inline constexpr std::size_t kStreamBytes = std::size_t{4} << 30U;

// Memory of the GPU to read and to copy.
class StreamMemory {
public:
    // Rounded down to whole pieces, of which it has two at least.
    explicit StreamMemory(std::size_t bytes);
    std::size_t bytes() const { return bytes_; }
    // Bytes a second of one pass over all of it.
    double read_rate(const Execution& execution) const;
    // Bytes read and written a second while one half is copied to the other.
    double copy_rate(const Execution& execution) const;

private:
    std::size_t bytes_;
    std::shared_ptr<std::byte> memory_, sums_;
};

// Operations a second (a multiplication and an addition are two) of mma.sync with bfloat16 and float32 sums,
// from registers alone: the instruction that attention and, without wgmma, products are made of. Hopper's own
// may go beyond it. The default takes some milliseconds.
double mma_sync_rate(const Execution& execution, std::int64_t rounds = 4096);

// What is timed.
inline constexpr std::int64_t kPieceFloats = 8192;  // that a block of threads reads or copies: 32 KiB
inline constexpr int kMultiplyWarps = 8;            // of a block
inline constexpr int kMultiplyChains = 8;           // sums of a warp: what hides an instruction's latency

// sums[p]: of the piece's values.
void read_pieces(const float* values, std::int64_t pieces, float* sums, const Execution& execution);
void copy_pieces(const float* from, std::int64_t pieces, float* to, const Execution& execution);
// sums[w][16, 8] = kMultiplyChains * rounds * a[16, 16] b, for each warp w of all blocks; b comes as its
// transpose [8, 16].
void multiply_tiles(const bf16* a, const bf16* b, std::int64_t rounds, int blocks, float* sums,
                    const Execution& execution);

}  // namespace sluice::kernels::cuda
