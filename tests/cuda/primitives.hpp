// What kernels are made of, one kernel each, for primitives_test.cpp. All pointers are to memory of the heap.
#pragma once

#include "core/dtype.hpp"

#include <cstdint>

namespace sluice::test {

// Pairs of x as two bfloat16, and as two e4m3.
void round_pairs(const float* x, std::int64_t pairs, std::uint32_t* halves, std::uint16_t* eighths);
void widen(const fp8* codes, std::int64_t count, float* out);
void elementary(const float* x, std::int64_t count, float* exponentials, float* sigmoids);
// c[16, 8] = a[16, 16] b[16, 8] by tensor cores; b as it is, or as its transpose [8, 16].
void multiply_tile(const bf16* a, const bf16* b, bool b_is_transposed, float* c);
// The first `bytes` of 16, and zeros.
void copy_some(const std::uint8_t* from, int bytes, std::uint8_t* to);

}  // namespace sluice::test
