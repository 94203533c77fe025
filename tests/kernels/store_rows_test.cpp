#include "kernel_suite.hpp"
#include "store_rows_cases.hpp"
#include "support/guarded.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace sluice::test {
namespace {

class StoreRows : public KernelSuite<StoreRowsArgs> {
protected:
    // A call's x when its family has rotated the heads in place.
    static std::vector<float> rotated(const StoreRowsCall& call) {
        std::vector<float> x = call.x;
        const StoreRowsCase& c = call.size;
        float* heads = x.data() + c.column;
        const RopeArgs args{
            heads,  call.x_stride, c.dim, heads,         call.x_stride,         c.dim,
            c.rows, c.heads,       c.dim, c.interleaved, call.positions.data(), call.table.data()};
        run_to_end(choose(at(GetParam()).family, args, this_machine()), args);
        return x;
    }
    // That a call stores what its family's rope and rounding make of x, and nothing else.
    void check(const StoreRowsCase& c) const;
};

// Of the element stored there.
float value_at(const StoreRowsCall& call, std::int64_t slot, std::int64_t i) {
    switch (call.size.dtype) {
        case DType::F32: return call.floats.at(slot, i);
        case DType::BF16: return to_float(call.halves.at(slot, i));
        default: return fp8_to_float(call.codes.at(slot, i));
    }
}
float rounded(float value, DType dtype) {
    switch (dtype) {
        case DType::F32: return value;
        case DType::BF16: return to_float(to_bf16(value));
        default: return fp8_to_float(to_fp8(value));
    }
}

void StoreRows::check(const StoreRowsCase& c) const {
    StoreRowsCall call(c);
    run(call.args(), 2);
    call.floats.expect_untouched_around();
    call.halves.expect_untouched_around();
    call.codes.expect_untouched_around();
    const std::vector<float> all = rotated(call);
    std::vector<bool> written(static_cast<std::size_t>(call.slots_held));
    for (std::int64_t r = 0; r < c.rows; ++r) {
        const std::int32_t slot = call.slots[static_cast<std::size_t>(r)];
        written[static_cast<std::size_t>(slot)] = true;
        for (std::int64_t i = 0; i < c.width; ++i) {
            const float x = all[static_cast<std::size_t>(r * call.x_stride + i)];
            ASSERT_EQ(std::bit_cast<std::uint32_t>(value_at(call, slot, i)),
                      std::bit_cast<std::uint32_t>(rounded(x, c.dtype)))
                << c.name() << ": column " << i;
        }
    }
    for (std::int64_t slot = 0; slot < call.slots_held; ++slot) {
        if (written[static_cast<std::size_t>(slot)]) continue;
        ASSERT_TRUE(std::isnan(value_at(call, slot, 0))) << c.name() << ": slot " << slot << " was written";
    }
}

TEST_P(StoreRows, WritesRowsToTheirSlotsAlone) {
    for (const StoreRowsCase& c : checked(store_rows_cases())) ASSERT_NO_FATAL_FAILURE(check(c));
}

// Heads of any number, width and place, in rows on multiples of four elements and others.
TEST_P(StoreRows, RotatesHeadsAnywhere) {
    Noise noise(5);
    for (int i = 0; i < 300; ++i) {
        StoreRowsCase c;
        c.large = noise.below(2) == 0;
        const std::int64_t step = c.large ? 4 : 1;
        c.rows = 1 + noise.below(5);
        c.heads = noise.below(5);
        c.dim = 2 * step * (1 + noise.below(20));
        c.column = step * noise.below(12);
        c.width = c.column + c.heads * c.dim + step * noise.below(12);
        if (c.width == 0) continue;
        c.dtype = std::array{DType::F32, DType::BF16, DType::F8E4M3}[static_cast<std::size_t>(i % 3)];
        c.interleaved = noise.below(2) == 0;
        ASSERT_NO_FATAL_FAILURE(check(c));
    }
}

TEST_P(StoreRows, RotatesAsTheReference) {
    for (const StoreRowsCase& c : checked(store_rows_cases())) {
        StoreRowsCase exact = c;
        exact.dtype = DType::F32;
        StoreRowsCall call(c), want(exact);
        run(call.args(), 2);
        reference(want.args());
        for (const std::int32_t slot : call.slots) {
            for (std::int64_t i = 0; i < c.width; ++i) {
                // Two products and a sum of numbers up to 1; rounding keeps their order.
                const float value = want.floats.at(slot, i), bound = 0x1p-21F;
                ASSERT_GE(value_at(call, slot, i), rounded(value - bound, c.dtype)) << c.name();
                ASSERT_LE(value_at(call, slot, i), rounded(value + bound, c.dtype)) << c.name();
            }
        }
    }
}

TEST_P(StoreRows, RoundsBf16ToNearestEven) {
    // 1 + 2^-8 lies between 0x3f80 and 0x3f81: to even, down; 1 + 3 * 2^-8 between 0x3f81 and 0x3f82: up.
    const std::vector<float> x = {1.0F,
                                  1.0F + 0x1p-8F,
                                  1.0F + 3 * 0x1p-8F,
                                  1.0F + 0x1.01p-8F,
                                  -1.0F - 0x1p-8F,
                                  INFINITY,
                                  -INFINITY,
                                  3.4e38F,
                                  0x1p-149F,
                                  -0.0F,
                                  0x1p-133F};
    const std::vector<bf16> want = {0x3f80, 0x3f80, 0x3f82, 0x3f81, 0xbf80, 0x7f80,
                                    0xff80, 0x7f80, 0,      0x8000, 1};
    const std::vector<std::int32_t> slot = {1};
    const auto width = static_cast<std::int64_t>(x.size());
    Guarded<bf16> pages(2, width);
    run({x.data(), width, 1, width, slot.data(), pages.data(), DType::BF16, width, {}});
    pages.expect_untouched_around();
    for (std::int64_t i = 0; i < width; ++i) {
        EXPECT_EQ(pages.at(1, i), want[static_cast<std::size_t>(i)]) << "element " << i;
        EXPECT_EQ(pages.at(0, i), 0xffff) << "another slot was written";
    }
}

TEST_P(StoreRows, KeepsNaN) {
    const std::vector<float> x(20, std::bit_cast<float>(0x7f800001U));
    const std::vector<std::int32_t> slot = {0};
    std::vector<bf16> pages(20);
    run({x.data(), 20, 1, 20, slot.data(), pages.data(), DType::BF16, 20, {}});
    for (const bf16 bits : pages) EXPECT_TRUE(std::isnan(to_float(bits)));
    std::vector<fp8> codes(20);
    run({x.data(), 20, 1, 20, slot.data(), codes.data(), DType::F8E4M3, 20, {}});
    for (const fp8 code : codes) EXPECT_TRUE(std::isnan(fp8_to_float(code)));
    const std::vector<float> table = rope_table(1, 8);
    const RotatedHeads heads{2, 1, 8, true, slot.data(), table.data()};
    std::vector<float> floats(20);
    run({x.data(), 20, 1, 20, slot.data(), floats.data(), DType::F32, 20, heads});
    for (const float value : floats) EXPECT_TRUE(std::isnan(value));
}

// Every code's value, the middles between two (to even) and what lies just beside these; what is greater than
// the greatest; and signs of zero.
TEST_P(StoreRows, RoundsE4m3ToNearestEvenAndSaturates) {
    std::vector<float> x = {0,       464,       465,       1e30F,      INFINITY,        0x1p-10F,
                            0x1p-9F, 0x1p-149F, 0x1.8p-9F, 0x1.8p-10F, 0x1.000002p-10F, 3.4e38F};
    for (int code = 0; code < 0x7e; ++code) {
        const float value = fp8_to_float(static_cast<fp8>(code));
        const float middle = (value + fp8_to_float(static_cast<fp8>(code + 1))) / 2;
        for (const float near : {value, middle}) {
            x.push_back(near);
            x.push_back(std::nextafter(near, 0.0F));
            x.push_back(std::nextafter(near, INFINITY));
        }
    }
    for (std::size_t i = 0, count = x.size(); i < count; ++i) x.push_back(-x[i]);
    const std::vector<std::int32_t> slot = {1};
    const auto width = static_cast<std::int64_t>(x.size());
    Guarded<fp8> pages(2, width);
    run({x.data(), width, 1, width, slot.data(), pages.data(), DType::F8E4M3, width, {}});
    pages.expect_untouched_around();
    for (std::int64_t i = 0; i < width; ++i) {
        const float value = x[static_cast<std::size_t>(i)];
        EXPECT_EQ(pages.at(1, i), to_fp8(value)) << value;
        EXPECT_EQ(pages.at(0, i), 0xff) << "another slot was written";
    }
}

TEST_P(StoreRows, ThreadsDoNotMatter) {
    const std::int64_t rows = 500, width = 576;
    std::vector<std::int32_t> slots;
    for (int r = 0; r < rows; ++r) slots.push_back(r * 7 % 500);  // 7 and 500 have no common factor
    const std::vector<float> x = Noise(4).vector(rows * width), table = rope_table(rows, 64);
    const RotatedHeads heads{1, 512, 64, true, slots.data(), table.data()};
    std::vector<bf16> one(x.size()), three(x.size());
    run({x.data(), width, rows, width, slots.data(), one.data(), DType::BF16, width, heads}, 1);
    run({x.data(), width, rows, width, slots.data(), three.data(), DType::BF16, width, heads}, 3);
    EXPECT_TRUE(same_bits(one, three));
    EXPECT_EQ(one[7 * 576 + 5], to_bf16(x[576 + 5]));
}

SLUICE_EVERY_KERNEL(StoreRows, StoreRowsArgs);

}  // namespace
}  // namespace sluice::test
