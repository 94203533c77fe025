#include "kernels/cpu/ceilings_loops.hpp"

namespace sluice::kernels::cpu {
namespace {

// vdpbf16ps: sixteen lanes of two products each.
double multiply_bf16(std::int64_t rounds) {
    constexpr int kChains = 12;
    __m512 sum[kChains];
    for (__m512& each : sum) each = _mm512_setzero_ps();
    const auto small = reinterpret_cast<__m512bh>(_mm512_set1_epi32(0x3c003c00));
    for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
        for (int j = 0; j < kChains; ++j) sum[j] = _mm512_dpbf16_ps(sum[j], small, small);
    }
    for (__m512& each : sum) keep<Avx512Bf16>(each);
    return static_cast<double>(rounds) * kChains * 64;
}

}  // namespace

const CeilingIsa kCeilingAvx512Bf16 = {&sum_floats<Avx512Bf16>, &multiply_bf16};

}  // namespace sluice::kernels::cpu
