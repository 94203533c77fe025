// Sixteen float32 lanes, whatever the processor: one struct of static operations an instruction set, used as
// the template argument `Isa` of the CPU kernels.
//
// A kernel body is a template <class Isa>, instantiated only in the five-line file of its instruction set
// (x_generic.cpp, x_avx2.cpp, x_avx512.cpp, x_avx512_bf16.cpp), which alone is compiled with that set's
// flags. The linker keeps one copy of every inline function, and it may be the copy of the highest set:
// therefore kernel bodies call nothing but these operations (always inlined) and functions declared, not
// defined, in headers; no std:: templates, no to_bf16().
//
// Lanes are always sixteen, so every set sums in the same order: results differ between sets only where one
// has a fused multiply-add and another has not.
//
//   F32                       sixteen floats
//   load, store               unaligned; load_some, store_some: the first n lanes (0..16), others zero
//   load_bf16, store_bf16     to and from bfloat16; rounds as to_bf16() does (every finite value); *_some too
//   set, zero, add, sub, mul, div, abs, sqrt
//   fma(a, b, c)              a * b + c (fused where the set has it)
//   max(a, b), min(a, b)      a > b ? a : b and a < b ? a : b, so a NaN in either gives b
//   select_less(a, b, x, y)   a < b ? x : y
//   not_less(a, b)            bit i: not a < b in lane i, so a NaN in either sets it
//   round(a)                  to the nearest integer, ties to even; |a| < 2^22
//   scale_power(a, n)         a * 2^n for whole n in [-126, 127]
//   power_below(a)            the largest power of two <= |a| (0 for a subnormal, infinity for NaN)
//   sum(a)                    lanes i + (i + 8), then + 4, + 2, + 1
//   max_lane(a)               in the same order
//   prefetch(p)               towards the first-level cache; prefetch_to_write(p): and for this core alone
#pragma once

#include "kernels/cpu/simd_generic.hpp"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "kernels/cpu/simd_avx2.hpp"
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include "kernels/cpu/simd_avx512.hpp"
#endif
