#pragma once

#include "kernels/cases.hpp"
#include "kernels/rope_cases.hpp"
#include "support/guarded.hpp"

namespace sluice::test {

struct StoreRowsCase {
    std::int64_t rows = 4, width = 0;
    DType dtype = DType::BF16;
    std::int64_t heads = 0, column = 0, dim = 0;
    bool interleaved = true;
    bool large = false;
    std::int64_t elements() const { return rows * width; }
    std::string name() const {
        const std::string plain = fmt::format("{}x{},{}", rows, width, name_of(dtype));
        if (heads == 0) return plain;
        return fmt::format("{},{}x{}@{},{}", plain, heads, dim, column,
                           interleaved ? "interleaved" : "halves");
    }
};

inline std::vector<StoreRowsCase> store_rows_cases() {
    std::vector<StoreRowsCase> cases;
    for (const DType dtype : {DType::F32, DType::BF16, DType::F8E4M3}) {
        for (const std::int64_t width : {1, 15, 16, 33, 67})
            cases.push_back({.width = width, .dtype = dtype});
        for (const bool interleaved : {false, true}) {
            const auto add = [&](std::int64_t width, std::int64_t heads, std::int64_t column,
                                 std::int64_t dim) {
                cases.push_back({.width = width,
                                 .dtype = dtype,
                                 .heads = heads,
                                 .column = column,
                                 .dim = dim,
                                 .interleaved = interleaved});
            };
            add(2, 1, 0, 2);      // nothing else
            add(27, 3, 0, 6);     // at the beginning
            add(45, 1, 5, 24);    // in the middle
            add(151, 2, 19, 66);  // at the end
            add(530, 1, 3, 516);  // so wide that it is rotated in parts
        }
        // Rows of DeepSeek (a latent, then a key), Llama-3.1-8B and Grok-1 (keys, then values).
        add_steps(cases, {.width = 576, .dtype = dtype, .heads = 1, .column = 512, .dim = 64});
        add_steps(cases, {.width = 2048, .dtype = dtype, .heads = 8, .dim = 128, .interleaved = false});
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
          table(rope_table(kPositions, c.dim)),
          x(Noise(2).vector(c.rows * x_stride)),
          floats(held(DType::F32), c.width, page_stride),
          halves(held(DType::BF16), c.width, page_stride),
          codes(held(DType::F8E4M3), c.width, page_stride) {
        const std::int32_t edges[] = {199, 0, 64, 63};
        Noise noise(3);
        for (std::int64_t r = 0; r < c.rows; ++r) {
            slots.push_back(r < 4 ? edges[r]
                                  : static_cast<std::int32_t>(200 + (r * 7 + 1) % (slots_held - 200)));
            positions.push_back(static_cast<std::int32_t>(noise.below(kPositions)));
        }
    }
    std::int64_t held(DType dtype) const { return size.dtype == dtype ? slots_held : 0; }
    StoreRowsArgs args() {
        void* pages = size.dtype == DType::F32    ? static_cast<void*>(floats.data())
                      : size.dtype == DType::BF16 ? static_cast<void*>(halves.data())
                                                  : codes.data();
        return {x.data(), x_stride,   size.rows,   size.width, slots.data(),
                pages,    size.dtype, page_stride, rotated()};
    }
    RotatedHeads rotated() const {
        return {size.heads, size.column, size.dim, size.interleaved, positions.data(), table.data()};
    }

    static constexpr std::int64_t kPositions = 32;
    StoreRowsCase size;
    std::int64_t slots_held, x_stride, page_stride;
    std::vector<std::int32_t> slots, positions;
    std::vector<float> table, x;
    Guarded<float> floats;
    Guarded<bf16> halves;
    Guarded<fp8> codes;
};

}  // namespace sluice::test
