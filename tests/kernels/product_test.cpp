// Every implementation of the product on the same cases.
#include "kernels/kernel_suite.hpp"
#include "kernels/product_fixture.hpp"
#include "support/guarded.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <set>

namespace sluice::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// Activations that are bfloat16 already, so that rounding them changes nothing.
std::vector<float> activations(std::int64_t rows, std::int64_t stride, std::uint64_t seed) {
    std::vector<float> x(static_cast<std::size_t>(rows * stride));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = to_float(to_bf16(noise(seed, i)));
    return x;
}

// Every implementation that can run here, preferred or not.
const Machine& capable() {
    static const Machine machine = [] {
        Machine all = this_machine();
        all.slow_bf16_dot = false;
        return all;
    }();
    return machine;
}

class Product : public ::testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        for (const Kernel<ProductArgs>& kernel : sluice::kernels::kernels<ProductArgs>()) {
            if (kernel.name == GetParam()) kernel_ = &kernel;
        }
        ASSERT_NE(kernel_, nullptr);
        if (!kernel_->fits({}, capable())) GTEST_SKIP() << GetParam() << ": not on this processor";
    }
    Family family() const { return kernel_->family; }
    TestWeight make(const Kind& kind, std::int64_t n, std::int64_t k, std::uint64_t seed) const {
        TestWeight weight(kind, n, k, seed);
        weight.rounds_weights = family() != Family::Reference;
        weight.multiplies_codes = kernel_->name == std::string("cuda.wgmma") && weight.quantised() &&
                                  kind.dtype == DType::F8E4M3 && kind.products == Products::Fp8;
        return weight;
    }
    void run(const std::vector<ProductJob>& jobs, int threads = 1) const {
        const ProductArgs args{jobs};
        ASSERT_TRUE(kernel_->fits(args, capable()));
        run_to_end(*kernel_, args, threads);
    }
    // out[rows, n] of one dense job.
    std::vector<float> dense(const Packed& w, const std::vector<float>& x, std::int64_t rows, int threads = 1,
                             const std::int32_t* gather = nullptr) const {
        std::vector<float> out(static_cast<std::size_t>(rows * w->rows * w->segments), kNan);
        run({{w.get(), x.data(), w->cols, gather, rows, out.data(), w->rows, rows * w->rows}}, threads);
        return out;
    }
    void check_shape(const Kind& kind, std::int64_t rows, std::int64_t n, std::int64_t k) const;
    void check_codes(DType dtype, Products products, int at, std::int64_t rows) const;

    const Kernel<ProductArgs>* kernel_ = nullptr;
};

void expect_near_truth(const TestWeight& weight, const float* x, std::int64_t begin, std::int64_t end,
                       const std::vector<float>& out) {
    const std::vector<double> seen = seen_activations(weight, x, begin, end);
    for (std::int64_t column = 0; column < weight.n; ++column) {
        const Truth truth = truth_of(weight, seen, column, begin, end);
        const auto got = static_cast<double>(out[static_cast<std::size_t>(column)]);
        ASSERT_LE(std::fabs(got - truth.value), truth.bound)
            << "column " << column << ": " << got << ", truth " << truth.value;
    }
}

// Strided x and out, guard bands round out.
void Product::check_shape(const Kind& kind, std::int64_t rows, std::int64_t n, std::int64_t k) const {
    SCOPED_TRACE(kind.name + ": rows " + std::to_string(rows) + ", n " + std::to_string(n) + ", k " +
                 std::to_string(k));
    const TestWeight weight = make(kind, n, k, static_cast<std::uint64_t>(n * 1000 + k));
    const Packed packed = pack_whole(family(), weight);
    ASSERT_EQ(packed->rows, n);
    ASSERT_EQ(packed->cols, k);
    const std::int64_t x_stride = k + 5;
    const std::vector<float> x = activations(rows + 1, x_stride, 7);
    Guarded<float> out(rows, n, n + 3);
    run({{packed.get(), x.data(), x_stride, nullptr, rows, out.data(), n + 3, 0}});
    out.expect_untouched_around();
    for (std::int64_t r = 0; r < rows; ++r) {
        std::vector<float> row(static_cast<std::size_t>(n));
        for (std::int64_t c = 0; c < n; ++c) row[static_cast<std::size_t>(c)] = out.at(r, c);
        expect_near_truth(weight, x.data() + r * x_stride, 0, k, row);
        if (::testing::Test::HasFatalFailure()) return;
    }
}

TEST_P(Product, MatchesTheTruthForAllWidths) {
    for (const Kind& kind : all_kinds()) {
        for (const std::int64_t n : {1, 15, 16, 17, 48, 80, 129}) {
            for (const std::int64_t k : {1, 2, 3, 31, 64, 127, 128, 129, 300, 1024}) {
                if (n == 129 || k < 300 || n == 17) check_shape(kind, 3, n, k);
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST_P(Product, MatchesTheTruthForAllRowCounts) {
    for (const Kind& kind : all_kinds()) {
        for (const std::int64_t rows : {0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 17, 24, 25, 64, 130}) {
            check_shape(kind, rows, 17, 300);
            if (rows <= 25) check_shape(kind, rows, 150, 129);
            if (HasFatalFailure()) return;
        }
    }
}

TEST_P(Product, InputsAreVaried) {  // the suite would prove little on constant inputs
    const std::vector<float> x = activations(64, 300, 7);
    EXPECT_GT(std::set<float>(x.begin(), x.end()).size(), 1000U);
    for (const Kind& kind : all_kinds()) {
        const TestWeight weight(kind, 80, 300, 3);
        std::set<double> values;
        for (std::int64_t i = 0; i < 80 * 300; ++i) values.insert(weight.value(i % 80, i / 80));
        EXPECT_GT(values.size(), 150U) << kind.name;
    }
}

// Two parts a segment, in no order, their seam inside a panel or where one ends.
TEST_P(Product, EachSegmentIsAProductOfItsOwn) {
    const std::vector<std::int64_t> cut = {0, 100, 164, 165, 300};  // uneven, not at block ends
    constexpr std::int64_t kN = 53, kK = 300, kRows = 9;
    for (const Kind& kind : all_kinds()) {
        for (const std::int64_t seam : {21, 32}) {
            SCOPED_TRACE(kind.name + ", seam " + std::to_string(seam));
            const TestWeight weight = make(kind, kN, kK, 11);
            std::vector<WeightPart> parts;
            for (int s = 3; s >= 0; --s) {
                const auto i = static_cast<std::size_t>(s);
                const std::int64_t width = cut[i + 1] - cut[i];
                parts.push_back({weight.slice(seam, kN - seam, cut[i], width), seam, s});
                parts.push_back({weight.slice(0, seam, cut[i], width), 0, s});
            }
            const Packed packed = pack(family(), parts, kind, 2);
            ASSERT_EQ(packed->segments, 4);
            ASSERT_EQ(packed->cols, kK);
            const std::vector<float> x = activations(kRows, kK, 8);
            const std::vector<float> out = dense(packed, x, kRows);
            for (std::int64_t s = 0; s < 4; ++s) {
                for (std::int64_t r = 0; r < kRows; ++r) {
                    const auto row = out.begin() + (s * kRows + r) * kN;
                    const auto i = static_cast<std::size_t>(s);
                    expect_near_truth(weight, x.data() + r * kK, cut[i], cut[i + 1], {row, row + kN});
                    if (HasFatalFailure()) return;
                }
            }
        }
    }
}

// Rows 0..129 at once; each row alone; two threads; gathered in another order, among other rows and in
// several jobs: the same bits.
TEST_P(Product, NeighboursThreadsAndGroupingChangeNoBit) {
    for (const Kind& kind : all_kinds()) {
        SCOPED_TRACE(kind.name);
        // Longer than every chunk of k that is multiplied at a time.
        constexpr std::int64_t kN = 150, kK = 1300, kRows = 130;
        const TestWeight weight(kind, kN, kK, 5);
        const Packed packed = pack_whole(family(), weight);
        const Packed other = pack_whole(family(), TestWeight(kind, 40, kK, 6));
        const std::vector<float> x = activations(kRows, kK, 9);
        const std::vector<float> all = dense(packed, x, kRows);
        const auto same_row = [&](const float* row, std::int64_t of) {
            return std::memcmp(row, all.data() + of * kN, kN * sizeof(float)) == 0;
        };

        const std::vector<float> two = dense(packed, x, kRows, 2);
        ASSERT_EQ(std::memcmp(two.data(), all.data(), all.size() * sizeof(float)), 0) << "two threads";
        // Every register tile, duplicates among rows. A GPU's are few, and slow where they are emulated.
        const std::int32_t step = family() == Family::Cuda ? 5 : 1;
        for (std::int32_t count = 1; count <= 26; count += step) {
            std::vector<std::int32_t> gather;
            for (std::int32_t i = 0; i < count; ++i) gather.push_back((i * 37 + count) % (i == 3 ? 5 : 130));
            const std::vector<float> some = dense(packed, x, count, 1, gather.data());
            for (std::int32_t i = 0; i < count; ++i)
                ASSERT_TRUE(same_row(some.data() + i * kN, gather[static_cast<std::size_t>(i)])) << count;
        }

        std::vector<std::int32_t> order(kRows);
        for (std::int32_t i = 0; i < kRows; ++i) order[static_cast<std::size_t>(i)] = i * 77 % 130;
        std::vector<float> out(all.size(), kNan), side(static_cast<std::size_t>(9 * 40));
        const ProductJob part{packed.get(), x.data(), kK, order.data(), 63, out.data(), kN, 0};
        ProductJob empty = part, rest = part;
        empty.rows = 0;
        rest.gather += 63;
        rest.rows = kRows - 63;
        rest.out += 63 * kN;
        const ProductJob stranger{other.get(), x.data(), kK, order.data(), 9, side.data(), 40, 0};
        run({empty, part, stranger, empty, rest}, 2);
        for (std::size_t i = 0; i < order.size(); ++i)
            ASSERT_TRUE(same_row(out.data() + static_cast<std::int64_t>(i) * kN, order[i]))
                << "grouped row " << i;
        const std::vector<float> alone = dense(other, x, 9, 1, order.data());
        ASSERT_EQ(std::memcmp(alone.data(), side.data(), side.size() * sizeof(float)), 0);
    }
}

TEST_P(Product, NoJobsAndEmptyJobsDoNothing) {
    run({});
    const Packed packed = pack_whole(family(), TestWeight(all_kinds().front(), 20, 20, 1));
    Guarded<float> out(0, 20);
    run({{packed.get(), nullptr, 20, nullptr, 0, out.data(), 20, 0}}, 2);
    out.expect_untouched_around();
}

enum class Class { Number, Nan, Infinite, MinusInfinite };
Class class_of(double v) {
    return std::isnan(v)      ? Class::Nan
           : std::isfinite(v) ? Class::Number
           : v > 0            ? Class::Infinite
                              : Class::MinusInfinite;
}

TEST_P(Product, NanAndInfinityReachExactlyTheirOutputs) {
    for (const Kind& kind : all_kinds()) {
        SCOPED_TRACE(kind.name);
        constexpr std::int64_t kN = 50, kK = 300, kRows = 9;
        TestWeight weight(kind, kN, kK, 21);
        weight.set_code(17, 200,
                        kind.dtype == DType::F32    ? std::bit_cast<std::uint32_t>(kNan)
                        : kind.dtype == DType::BF16 ? 0x7fc0U
                                                    : 0xffU);
        if (kind.dtype == DType::BF16) weight.set_code(30, 5, 0xff80);  // -infinity
        const Packed packed = pack_whole(family(), weight);
        std::vector<float> x = activations(kRows, kK, 10);
        x[3 * kK + 7] = kNan;
        x[5 * kK + 250] = kInf;
        x[6 * kK + 131] = -kInf;
        for (std::int64_t i = 0; i < kK; ++i) x[static_cast<std::size_t>(8 * kK + i)] = 0;  // 0 * NaN is NaN
        const std::vector<float> out = dense(packed, x, kRows);
        for (std::int64_t r = 0; r < kRows; ++r) {
            const std::vector<double> seen = seen_activations(weight, x.data() + r * kK, 0, kK);
            for (std::int64_t c = 0; c < kN; ++c) {
                const double truth = truth_of(weight, seen, c, 0, kK).value;
                ASSERT_EQ(class_of(static_cast<double>(out[static_cast<std::size_t>(r * kN + c)])),
                          class_of(truth))
                    << "row " << r << ", column " << c;
            }
        }
    }
}

// All codes of a type as element `at` of outputs of their own, the other elements zero.
void Product::check_codes(DType dtype, Products products, int at, std::int64_t rows) const {
    const Kind kind{"codes", dtype, 1024, 1024, 0, 0, false, products, false, true};
    TestWeight weight(kind, 256, 5, 1);
    for (int code = 0; code < 256; ++code) {
        for (int i = 0; i < 5; ++i) weight.set_code(code, i, i == at ? static_cast<std::uint32_t>(code) : 0);
    }
    HostMatrix matrix = weight.whole();
    const float one = 1;
    matrix.scales = &one;
    const Packed packed = pack(family(), {{matrix, 0, 0}}, kind);
    const std::vector<float> x(static_cast<std::size_t>(rows * 5), 0.5F);
    const std::vector<float> out = dense(packed, x, rows);
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto code = static_cast<fp8>(i % 256);
        const float value = dtype == DType::I8 ? static_cast<std::int8_t>(code) : fp8_to_float(code);
        ASSERT_TRUE(std::isnan(value) ? std::isnan(out[i]) : out[i] == 0.5F * value)
            << name_of(dtype) << " code " << i % 256 << ", element " << at << ", rows " << rows << ": "
            << out[i];
    }
}

TEST_P(Product, AllCodesAreDecodedExactly) {
    for (const DType dtype : {DType::F8E4M3, DType::I8}) {
        for (const Products products : {Products::Bf16, Products::Fp8, Products::F32}) {
            for (int at = 0; at < 5; ++at) {  // even and odd elements, short and long row tiles
                for (const std::int64_t rows : {1, 9, 30}) check_codes(dtype, products, at, rows);
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST_P(Product, AScaleThatIsNoNumberReachesItsOutputs) {
    for (const auto& [dtype, products] : {std::pair{DType::F8E4M3, Products::Bf16},
                                          {DType::F8E4M3, Products::Fp8},
                                          {DType::I8, Products::Bf16}}) {
        for (const std::int64_t rows : {1, 30}) {
            const Kind kind{"scales", dtype, 1, 400, 0, 0, false, products, false, false};
            const TestWeight weight(kind, 20, 600, 3);
            HostMatrix matrix = weight.whole();
            std::vector<float> scales(2 * 20, 0.5F);
            scales[2 * 7] = kNan;
            scales[2 * 18 + 1] = kInf;
            matrix.scales = scales.data();
            const Packed packed = pack(family(), {{matrix, 0, 0}}, kind);
            const std::vector<float> out = dense(packed, activations(rows, 600, 4), rows);
            for (std::size_t i = 0; i < out.size(); ++i) {
                ASSERT_EQ(std::isfinite(out[i]), i % 20 != 7 && i % 20 != 18) << i;
                ASSERT_TRUE(i % 20 != 7 || std::isnan(out[i])) << i;
            }
        }
    }
}

// A weight that is one on the diagonal gives back the activations as the product sees them.
class Identity {
public:
    Identity(Family family, DType dtype, Products products, bool power_of_two) {
        Kind kind{"identity", dtype,       dtype == DType::F8E4M3 ? 512 : 0, 128, 0, 0, false, products,
                  false,      power_of_two};
        TestWeight weight(kind, kSize, kSize, 1);
        const std::uint32_t one = dtype == DType::BF16 ? 0x3f80 : 0x38;
        for (std::int64_t i = 0; i < kSize * kSize; ++i)
            weight.set_code(i / kSize, i % kSize, i / kSize == i % kSize ? one : 0);
        HostMatrix matrix = weight.whole();
        const std::vector<float> ones(8, 1.0F);
        if (matrix.scales != nullptr) matrix.scales = ones.data();
        packed = pack(family, {{matrix, 0, 0}}, kind);
    }
    static constexpr std::int64_t kSize = 512;
    Packed packed;
};

// Any finite normal float32.
std::vector<float> any_floats(std::int64_t rows, std::uint64_t seed) {
    std::vector<float> x;
    for (std::uint64_t i = 0; x.size() < static_cast<std::size_t>(rows * Identity::kSize); ++i) {
        const auto scaled = std::ldexp(noise(seed, i), static_cast<int>(i * 7 % 41) - 20);
        x.push_back(std::fabs(scaled) < 1e-30F ? 0.0F : scaled);
    }
    return x;
}

TEST_P(Product, ActivationsAreRoundedToBf16) {
    std::vector<float> x = any_floats(9, 31);
    for (std::uint32_t i = 0; i < 64; ++i)  // ties: to the even neighbour
        x[i * 3] = std::bit_cast<float>(0x3f808000U + (i << 16));
    const Identity identity(family(), DType::BF16, Products::Bf16, false);
    const std::vector<float> out = dense(identity.packed, x, 9);
    const bool rounds = family() != Family::Reference;  // the reference keeps float32
    for (std::size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(out[i], rounds ? to_float(to_bf16(x[i])) : x[i]) << i;
    const Identity exact(family(), DType::BF16, Products::F32, false);
    ASSERT_EQ(dense(exact.packed, x, 9), x);
}

TEST_P(Product, ActivationsAreQuantisedByRowAndBlock) {
    std::vector<float> x = any_floats(9, 33);
    for (std::size_t i = 0; i < 128;
         ++i) {  // ties and subnormal codes under a scale of one; a block of zeros
        x[i] = (static_cast<float>(i) + 0.5F) * 0x1p-9F;
        x[512 + i] = 8 + static_cast<float>(i) * 0.5F;
        x[1024 + i] = 0;
    }
    x[0] = x[512] = 448;
    for (const bool power_of_two : {false, true}) {
        const Identity identity(family(), DType::F8E4M3, Products::Fp8, power_of_two);
        const std::vector<float> out = dense(identity.packed, x, 9);
        for (std::size_t begin = 0; begin < x.size(); begin += 128) {
            float amax = 0;
            for (std::size_t i = begin; i < begin + 128; ++i) amax = std::max(amax, std::fabs(x[i]));
            float scale = amax == 0 ? 1.0F : amax / 448.0F;
            if (power_of_two) scale = std::exp2(std::ceil(std::log2(scale)));
            for (std::size_t i = begin; i < begin + 128; ++i)
                ASSERT_EQ(out[i], fp8_to_float(to_fp8(x[i] / scale)) * scale) << i << ": " << x[i];
        }
    }
}

std::vector<std::string> names() {
    std::vector<std::string> all;
    for (const Kernel<ProductArgs>& kernel : sluice::kernels::kernels<ProductArgs>())
        all.emplace_back(kernel.name);
    return all;
}

INSTANTIATE_TEST_SUITE_P(Every, Product, ::testing::ValuesIn(names()), [](const auto& of) {
    std::string name = of.param;
    std::replace(name.begin(), name.end(), '.', '_');
    return name;
});

}  // namespace
}  // namespace sluice::test
