#pragma once

#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/rotate.hpp"
#include "kernels/cpu/run.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cpu/simd_fp8.hpp"

namespace sluice::kernels::cpu {

template <class Isa>
[[gnu::always_inline]] inline void round_row(const float* x, std::int64_t width, float* out) {
    __builtin_memcpy(out, x, static_cast<unsigned long>(width) * sizeof(float));
}

template <class Isa>
[[gnu::always_inline]] inline void round_row(const float* x, std::int64_t width, std::uint16_t* out) {
    std::int64_t i = 0;
    for (; i + Isa::kLanes <= width; i += Isa::kLanes) Isa::store_bf16(out + i, Isa::load(x + i));
    const int left = static_cast<int>(width - i);
    if (left > 0) Isa::store_bf16_some(out + i, Isa::load_some(x + i, left), left);
}

template <class Isa>
[[gnu::always_inline]] inline void round_row(const float* x, std::int64_t width, std::uint8_t* out) {
    std::int64_t i = 0;
    for (; i + Isa::kLanes <= width; i += Isa::kLanes) Fp8<Isa>::store(out + i, Isa::load(x + i));
    const int left = static_cast<int>(width - i);
    if (left > 0) Fp8<Isa>::store_some(out + i, Isa::load_some(x + i, left), left);
}

// Pairs wait in the first-level cache to be rounded.
template <class Isa, class T>
[[gnu::always_inline]] inline void round_rotated(const float* x, const float* angles, std::int64_t dim,
                                                 bool interleaved, T* out) {
    constexpr std::int64_t kMost = 128;
    float turned[2 * kMost];
    const std::int64_t pairs = dim / 2;
    for (std::int64_t i = 0; i < pairs; i += kMost) {
        const std::int64_t count = pairs - i < kMost ? pairs - i : kMost;
        if (interleaved) {
            rotate_neighbours(x + 2 * i, angles + 2 * i, count, turned);
            round_row<Isa>(turned, 2 * count, out + 2 * i);
        } else {
            rotate_halves(x + i, pairs, angles + 2 * i, count, turned, kMost);
            round_row<Isa>(turned, count, out + i);
            round_row<Isa>(turned + kMost, count, out + pairs + i);
        }
    }
}

template <class Isa, class T>
[[gnu::always_inline]] inline void store_row(const StoreRowsArgs& args, std::int64_t r) {
    const RotatedHeads& heads = args.rotated;
    const float* x = args.x + r * args.x_stride;
    T* out = static_cast<T*>(args.pages) + args.slots[r] * args.page_row_stride;
    round_row<Isa>(x, heads.column, out);
    std::int64_t at = heads.column;
    for (std::int64_t h = 0; h < heads.count; ++h, at += heads.dim)
        round_rotated<Isa>(x + at, heads.table + heads.positions[r] * heads.dim, heads.dim, heads.interleaved,
                           out + at);
    round_row<Isa>(x + at, args.width - at, out + at);
}

template <class Isa>
void run_store_rows(const StoreRowsArgs& args, const Execution& execution) {
    over_rows(args.rows, args.width, execution.threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            if (args.page_dtype == DType::F32)
                store_row<Isa, float>(args, r);
            else if (args.page_dtype == DType::F8E4M3)
                store_row<Isa, std::uint8_t>(args, r);
            else
                store_row<Isa, std::uint16_t>(args, r);
        }
    });
}

}  // namespace sluice::kernels::cpu
