// The loops of the ceilings, instantiated in ceilings_ISA.cpp alone.
#pragma once

#include "kernels/cpu/ceilings_isa.hpp"
#include "kernels/cpu/simd.hpp"

namespace sluice::kernels::cpu {

template <class Isa>
float sum_floats(const float* values, std::int64_t rounds) {
    constexpr int kSums = kSumFloats / Isa::kLanes;
    typename Isa::F32 sum[kSums];
    for (auto& each : sum) each = Isa::zero();
    for (std::int64_t i = 0; i < rounds; ++i, values += kSumFloats) {
#pragma GCC unroll 8
        for (int j = 0; j < kSums; ++j) sum[j] = Isa::add(sum[j], Isa::load(values + j * Isa::kLanes));
    }
    for (int j = 1; j < kSums; ++j) sum[0] = Isa::add(sum[0], sum[j]);
    return Isa::sum(sum[0]);
}

// Keeps a result without using it.
template <class Isa>
[[gnu::always_inline]] inline void keep(typename Isa::F32& value) {
    asm volatile("" : : "r"(&value) : "memory");
}

// As many chains as the registers hold: x = a * x + b, of which no part can be taken out of the loop.
template <class Isa, int chains>
double multiply_floats(std::int64_t rounds) {
    typename Isa::F32 x[chains];
    for (auto& each : x) each = Isa::zero();
    const auto a = Isa::set(0.5F), b = Isa::set(1.0F);
    for (std::int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
        for (int j = 0; j < chains; ++j) x[j] = Isa::fma(a, x[j], b);
    }
    for (auto& each : x) keep<Isa>(each);
    return static_cast<double>(rounds) * chains * Isa::kLanes * 2;
}

}  // namespace sluice::kernels::cpu
