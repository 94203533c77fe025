#include "kernel_suite.hpp"
#include "support/guarded.hpp"

#include <cmath>

namespace sluice::test {
namespace {

using Combine = KernelSuite<CombineArgs>;

// A router's choices, all of whose experts are local and cut in slices as evenly as may be.
struct Routed {
    Routed(std::int64_t rows, std::int64_t dim, std::int64_t top_k, int slices, std::uint64_t seed) {
        Noise noise(seed);
        constexpr std::int64_t kExperts = 24;
        base = noise.vector(slices * rows * dim);
        expert_rows = noise.vector(rows * top_k * dim);
        weight = noise.vector(rows * top_k);
        for (std::int64_t i = 0; i < rows * top_k; ++i) {
            const std::int64_t r = i / top_k, j = i % top_k;
            expert.push_back(static_cast<std::int32_t>(j * kExperts / top_k + noise.below(kExperts / top_k)));
            place.push_back(static_cast<std::int32_t>(j * rows + r));
        }
        for (int s = 0; s <= slices; ++s) first.push_back(static_cast<std::int32_t>(kExperts * s / slices));
        args = {rows,          dim,          slices,        base.data(), expert_rows.data(),
                expert.data(), place.data(), weight.data(), top_k,       first.data(),
                nullptr};
    }
    std::vector<float> base, expert_rows, weight;
    std::vector<std::int32_t> expert, place, first;
    CombineArgs args;
};

TEST_P(Combine, AgreesWithASumInDouble) {
    for (const int slices : {1, 2, 3, 5, 6, 7, 8, 16}) {
        for (const std::int64_t dim : {1, 16, 63, 64, 65, 200}) {
            for (const bool with_base : {false, true}) {
                Routed routed(4, dim, 6, slices, static_cast<std::uint64_t>(dim));
                Guarded<float> out(4, dim);
                CombineArgs args = routed.args;
                if (!with_base) args.base = nullptr;
                args.out = out.data();
                run(args, 2);
                out.expect_untouched_around();
                for (std::int64_t r = 0; r < 4; ++r) {
                    for (std::int64_t i = 0; i < dim; ++i) {
                        double sum = 0, size = 0;
                        const auto add = [&](double term) { sum += term, size += std::abs(term); };
                        for (int s = 0; s < slices && with_base; ++s) add(args.base[(s * 4 + r) * dim + i]);
                        for (std::int64_t j = r * 6; j < r * 6 + 6; ++j) {
                            add(static_cast<double>(args.weight[j]) *
                                args.expert_rows[args.place[j] * dim + i]);
                        }
                        // At most a product, six additions of choices and four levels of the tree.
                        ASSERT_NEAR(out.at(r, i), sum, 12 * kUnit * size) << slices << " slices, dim " << dim;
                    }
                }
            }
        }
    }
}

// The tree of the contract, on numbers whose float32 sum depends on the order.
TEST_P(Combine, AddsSlicesInTheTreeOfTheContract) {
    const float a = 1, b = 0x1p-24F;  // 1 + 2^-24 is 1; 1 + 2^-23 is not
    const auto sum_of = [&](std::vector<float> values) {
        float out = 0;
        run({1, 1, static_cast<int>(values.size()), values.data(), nullptr, nullptr, nullptr, nullptr, 0,
             nullptr, &out});
        return out;
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
    float out = 0;
    run({1, 1, 1, nullptr, rows.data(), expert.data(), place.data(), weight.data(), 3, first.data(), &out});
    EXPECT_EQ(out, 14);
}

TEST_P(Combine, RowsAndThreadsDoNotMatter) {
    const std::int64_t rows = 30, dim = 777;
    Routed routed(rows, dim, 4, 3, 9);
    std::vector<float> out[3];
    for (int i = 0; i < 2; ++i) {
        out[i].resize(rows * dim);
        routed.args.out = out[i].data();
        run(routed.args, i + 1);
    }
    out[2].resize(rows * dim);
    for (std::int64_t r = 0; r < rows; ++r) {
        std::vector<float> base;
        for (int s = 0; s < 3; ++s) {
            const float* from = routed.base.data() + (s * rows + r) * dim;
            base.insert(base.end(), from, from + dim);
        }
        CombineArgs one = routed.args;
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
