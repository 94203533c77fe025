#include "combine_cases.hpp"
#include "kernel_suite.hpp"

#include <cmath>

namespace sluice::test {
namespace {

using Combine = KernelSuite<CombineArgs>;

TEST_P(Combine, AgreesWithASumInDouble) {
    for (const CombineCase& c : checked(combine_cases())) {
        CombineCall call(c);
        const CombineArgs args = call.args();
        run(args, 2);
        call.out.expect_untouched_around();
        for (std::int64_t r = 0; r < c.rows; ++r) {
            for (std::int64_t i = 0; i < c.dim; ++i) {
                double sum = 0, size = 0;
                const auto add = [&](double term) { sum += term, size += std::abs(term); };
                for (int s = 0; s < c.slices && c.with_base; ++s)
                    add(args.base[(s * c.rows + r) * c.dim + i]);
                for (std::int64_t j = r * c.top_k; j < (r + 1) * c.top_k; ++j) {
                    add(static_cast<double>(args.weight[j]) * args.expert_rows[args.place[j] * c.dim + i]);
                }
                // At most a product, eight additions of choices and four levels of the tree.
                const double bound = (c.top_k <= 6 ? 12 : 14) * kUnit * size;
                ASSERT_NEAR(call.out.at(r, i), sum, bound) << c.name();
            }
        }
    }
}

// The tree of the contract, on numbers whose float32 sum depends on the order.
TEST_P(Combine, AddsSlicesInTheTreeOfTheContract) {
    const float a = 1, b = 0x1p-24F;  // 1 + 2^-24 is 1; 1 + 2^-23 is not
    const auto sum_of = [&](std::vector<float> values) {
        std::vector<float> out(1);
        run({1, 1, static_cast<int>(values.size()), values.data(), nullptr, nullptr, nullptr, nullptr, 0,
             nullptr, out.data()});
        return out[0];
    };
    EXPECT_EQ(sum_of({a, b, b}), 1.0F);                      // (a + b) + b
    EXPECT_EQ(sum_of({b, b, a}), 1.0F + 0x1p-23F);           // (b + b) + a
    EXPECT_EQ(sum_of({a, b, b, b}), 1.0F + 0x1p-23F);        // (a + b) + (b + b)
    EXPECT_EQ(sum_of({a, b, a, b, b}), 2.0F);                // ((a + b) + (a + b)) + b
    EXPECT_EQ(sum_of({-a, 0, 0, b, a, b, b}), b);            // ((-a + 0) + (0 + b)) + ((a + b) + b)
    EXPECT_EQ(sum_of({a, 0, 0, 0, b, b}), 1.0F + 0x1p-23F);  // ((a + 0) + 0) + (b + b)
}

TEST_P(Combine, OneSliceWithBaseOnlyIsACopy) {
    const std::vector<float> base = Noise(6).vector(3 * 77);
    std::vector<float> out(base.size());
    run({3, 77, 1, base.data(), nullptr, nullptr, nullptr, nullptr, 0, nullptr, out.data()});
    EXPECT_TRUE(same_bits(base, out));
}

TEST_P(Combine, LeavesOutExpertsOfOthers) {
    const std::vector<float> rows = {5, 7};
    const std::vector<std::int32_t> expert = {1, 4, 9}, place = {-1, 1, -1}, first = {2, 5};
    const std::vector<float> weight = {NAN, 2, NAN};
    std::vector<float> out(1);
    run({1, 1, 1, nullptr, rows.data(), expert.data(), place.data(), weight.data(), 3, first.data(),
         out.data()});
    EXPECT_EQ(out[0], 14);
}

TEST_P(Combine, RowsAndThreadsDoNotMatter) {
    const std::int64_t rows = 30, dim = 777;
    CombineCall routed({.rows = rows, .dim = dim, .top_k = 4, .slices = 3}, 9);
    CombineArgs args = routed.args();
    std::vector<float> out[3];
    for (int i = 0; i < 2; ++i) {
        out[i].resize(rows * dim);
        args.out = out[i].data();
        run(args, i + 1);
    }
    out[2].resize(rows * dim);
    for (std::int64_t r = 0; r < rows; ++r) {
        std::vector<float> base;
        for (int s = 0; s < 3; ++s) {
            const float* from = routed.base.data() + (s * rows + r) * dim;
            base.insert(base.end(), from, from + dim);
        }
        CombineArgs one = args;
        one.rows = 1;
        one.base = base.data();
        one.expert += r * 4;
        one.place += r * 4;
        one.weight += r * 4;
        one.out = out[2].data() + r * dim;
        run(one);
    }
    EXPECT_TRUE(same_bits(out[0], out[1]));
    EXPECT_TRUE(same_bits(out[0], out[2]));
}

SLUICE_EVERY_KERNEL(Combine, CombineArgs);

}  // namespace
}  // namespace sluice::test
