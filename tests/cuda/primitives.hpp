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
// c[rows, 64] = b[rows, 64] a[64, 64]^T by a warpgroup's tensor cores, rows being 8, 16, 32, 64, 128 or 256;
// or with `a` from registers, up to 128.
void multiply_async_tile(const bf16* a, const bf16* b, int rows, bool a_from_registers, float* c);
// The same of codes: c[rows, 64] = b[rows, 128] a[64, 128]^T, rows up to 128.
void multiply_codes_tile(const fp8* a, const fp8* b, int rows, float* c);
// The first `bytes` of 16, and zeros.
void copy_some(const std::uint8_t* from, int bytes, std::uint8_t* to);
// So many launches one after the other, each of which sets others[i] = values[(i + count / 2 + 1) % count] +
// 1 and then takes the one for the other. count: a multiple of 256.
void pass_on(int* values, int* others, int count, int times);

}  // namespace sluice::test
