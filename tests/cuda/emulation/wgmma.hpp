// What kernels/cuda/wgmma.cuh means. Sums are NaN from when a product begins until they are taken; it is an
// error if registers or copies were not fenced before, if a tile is not aligned, if the threads of a
// warpgroup name different tiles, if a tile changes before the product has ended, or if sums are taken before
// it was waited for.
#pragma once

#include "cuda/emulation/grid.hpp"

#include <cstddef>
#include <cstdint>

namespace sluice::emulation {

struct Operand {
    const std::byte* tile = nullptr;
    int step = 0;
    bool operator==(const Operand&) const = default;
};

void fence_registers(const float* at);
void write_registers();
void commit_products();
void wait_products(int most_pending);
void take_sums(float* at);
void multiply_async(float* sums, int tiles, const Operand& a, const Operand& b);
void multiply_async(float* sums, int tiles, const std::uint32_t (&a)[4], const Operand& b);
void multiply_codes_async(float* sums, int tiles, const Operand& a, const Operand& b, bool fresh);

}  // namespace sluice::emulation
