// How a row of activations becomes what a Dot multiplies. The rules of simd.hpp hold.
#pragma once

#include "kernels/cpu/product_dot.hpp"
#include "kernels/cpu/product_isa.hpp"
#include "kernels/fp8_rows.hpp"

namespace sluice::kernels::cpu {

inline constexpr float kLargestCode = 448;

// Rounds to the nearest e4m3 value, ties to even: adding 1.5 * 2^20 powers leaves 3 fraction bits; below
// 2^-6 the spacing stays 2^-9.
template <class Isa>
SLUICE_SIMD typename Isa::F32 round_to_fp8(typename Isa::F32 v) {
    const auto magic = Isa::mul(Isa::max(Isa::power_below(v), Isa::set(0x1p-6F)), Isa::set(1.5F * 0x1p20F));
    const auto rounded = Isa::sub(Isa::add(v, magic), magic);
    return Isa::max(Isa::set(-kLargestCode), Isa::min(Isa::set(kLargestCode), rounded));
}

template <class Isa>
SLUICE_SIMD float largest_magnitude(const float* x, std::int64_t n) {
    auto best = Isa::zero();
    std::int64_t i = 0;
    for (; i + 16 <= n; i += 16) best = Isa::max(Isa::abs(Isa::load(x + i)), best);
    if (i < n) best = Isa::max(Isa::abs(Isa::load_some(x + i, static_cast<int>(n - i))), best);
    return Isa::max_lane(best);
}

template <class Dot>
SLUICE_SIMD void convert_block(const float* x, const float* next, std::int64_t n, std::int64_t padded,
                               typename Dot::X* out, bool exact, float scale) {
    const auto divisor = Dot::set(scale);
    for (std::int64_t i = 0; i < n; i += 16) {
        Dot::prefetch(next + i);
        const int count = n - i < 16 ? static_cast<int>(n - i) : 16;
        auto v = count == 16 ? Dot::load(x + i) : Dot::load_some(x + i, count);
        if (scale != 0) v = round_to_fp8<Dot>(Dot::div(v, divisor));
        Dot::store_x(out + i, v, padded - i < 16 ? static_cast<int>(padded - i) : 16, exact || scale != 0);
    }
}

template <class Dot>
void convert_row(const RowTask& task) {
    const Segment& s = *task.segment;
    auto* out = static_cast<typename Dot::X*>(task.out);
    for (int b = 0; b < s.blocks; ++b) {
        const float* x = task.x + s.block_col[b];
        const std::int64_t n = s.block_col[b + 1] - s.block_col[b];
        float scale = 0;  // none
        if (task.form == RowForm::Fp8) {
            scale = fp8_row_scale(largest_magnitude<Dot>(x, n), task.power_of_two_scales);
            task.scales[b] = scale;
        }
        const std::int64_t padded = 2 * (s.block_pair[b + 1] - s.block_pair[b]);
        convert_block<Dot>(x, task.next_x + s.block_col[b], n, padded, out + 2 * s.block_pair[b],
                           task.form == RowForm::F32, scale);
    }
}

}  // namespace sluice::kernels::cpu
