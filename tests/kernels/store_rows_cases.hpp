#pragma once

#include "kernels/cases.hpp"
#include "support/guarded.hpp"

namespace sluice::test {

struct StoreRowsCase {
    std::int64_t rows = 4, width = 0;
    DType dtype = DType::BF16;
    bool large = false;
    std::int64_t elements() const { return rows * width; }
    std::string name() const { return fmt::format("{}x{},{}", rows, width, name_of(dtype)); }
};

inline std::vector<StoreRowsCase> store_rows_cases() {
    std::vector<StoreRowsCase> cases;
    for (const std::int64_t width : {1, 15, 16, 33, 67}) {
        for (const DType dtype : {DType::F32, DType::BF16, DType::F8E4M3})
            cases.push_back({.width = width, .dtype = dtype});
    }
    // A latent row of DeepSeek, keys of Llama-3.1-8B and Grok-1.
    for (const std::int64_t width : {576, 1024}) {
        for (const DType dtype : {DType::F32, DType::BF16, DType::F8E4M3})
            add_steps(cases, {.width = width, .dtype = dtype});
    }
    return cases;
}

// Slots out of order, the first ones at the edges of pages.
struct StoreRowsCall {
    explicit StoreRowsCall(const StoreRowsCase& c)
        : size(c),
          slots_held(200 + 7 * c.rows + 1),
          x_stride(c.width + (c.large ? 4 : 1)),
          page_stride(c.width + (c.large ? 4 : 3)),
          x(Noise(2).vector(c.rows * x_stride)),
          floats(held(DType::F32), c.width, page_stride),
          halves(held(DType::BF16), c.width, page_stride),
          codes(held(DType::F8E4M3), c.width, page_stride) {
        const std::int32_t edges[] = {199, 0, 64, 63};
        for (std::int64_t r = 0; r < c.rows; ++r)
            slots.push_back(r < 4 ? edges[r]
                                  : static_cast<std::int32_t>(200 + (r * 7 + 1) % (slots_held - 200)));
    }
    std::int64_t held(DType dtype) const { return size.dtype == dtype ? slots_held : 0; }
    StoreRowsArgs args() {
        void* pages = size.dtype == DType::F32    ? static_cast<void*>(floats.data())
                      : size.dtype == DType::BF16 ? static_cast<void*>(halves.data())
                                                  : codes.data();
        return {x.data(), x_stride, size.rows, size.width, slots.data(), pages, size.dtype, page_stride};
    }

    StoreRowsCase size;
    std::int64_t slots_held, x_stride, page_stride;
    std::vector<std::int32_t> slots;
    std::vector<float> x;
    Guarded<float> floats;
    Guarded<bf16> halves;
    Guarded<fp8> codes;
};

}  // namespace sluice::test
