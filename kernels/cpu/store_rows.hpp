#pragma once

#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/run.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cpu/simd_fp8.hpp"

namespace sluice::kernels::cpu {

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

template <class Isa>
void run_store_rows(const StoreRowsArgs& args, const Execution& execution) {
    over_rows(args.rows, args.width, execution.threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            const float* x = args.x + r * args.x_stride;
            const std::int64_t at = args.slots[r] * args.page_row_stride;
            if (args.page_dtype == DType::F32)
                __builtin_memcpy(static_cast<float*>(args.pages) + at, x,
                                 static_cast<unsigned long>(args.width) * sizeof(float));
            else if (args.page_dtype == DType::F8E4M3)
                round_row<Isa>(x, args.width, static_cast<std::uint8_t*>(args.pages) + at);
            else
                round_row<Isa>(x, args.width, static_cast<std::uint16_t*>(args.pages) + at);
        }
    });
}

}  // namespace sluice::kernels::cpu
