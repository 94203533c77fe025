// What each instruction set gives the ceilings. Plain data; the per-set files include this header.
#pragma once

#include <cstdint>

namespace sluice::kernels::cpu {

inline constexpr std::int64_t kSumFloats = 128;  // that one round of a sum reads: eight cache lines

struct CeilingIsa {
    // The sum of `rounds` * kSumFloats values.
    float (*sum)(const float* values, std::int64_t rounds);
    // Rounds of multiply-adds in registers; returns the operations done.
    double (*multiply)(std::int64_t rounds);
};

extern const CeilingIsa kCeilingGeneric;
#if defined(__x86_64__)
extern const CeilingIsa kCeilingAvx2;
extern const CeilingIsa kCeilingAvx512;
extern const CeilingIsa kCeilingAvx512Bf16;
#endif

}  // namespace sluice::kernels::cpu
