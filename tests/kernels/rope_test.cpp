#include "kernel_suite.hpp"
#include "support/guarded.hpp"

#include <cmath>

namespace sluice::test {
namespace {

using Rope = KernelSuite<RopeArgs>;

struct Angles {
    explicit Angles(std::int64_t dim) {
        for (int p = 0; p < 20; ++p) {
            for (std::int64_t i = 0; i < dim / 2; ++i) {
                const double angle =
                    p * std::pow(100.0, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
                table.push_back(static_cast<float>(std::cos(angle)));
                table.push_back(static_cast<float>(std::sin(angle)));
            }
        }
    }
    std::vector<float> table;  // [20, dim/2, 2]
};

TEST_P(Rope, RotatesPairs) {
    const std::vector<std::int32_t> positions = {0, 19, 3};
    for (const std::int64_t dim : {2, 6, 8, 24, 32, 64, 66, 128}) {
        for (const bool interleaved : {false, true}) {
            const Angles angles(dim);
            const std::int64_t heads = 3, head_stride = dim + 4, row_stride = heads * head_stride + 1;
            const std::vector<float> x = Noise(9).vector(3 * row_stride);
            Guarded<float> out(9, dim, dim + 2);  // row r, head h is row 3 r + h
            RopeArgs args{x.data(), row_stride, head_stride, out.data(),       3 * (dim + 2),      dim + 2, 3,
                          heads,    dim,        interleaved, positions.data(), angles.table.data()};
            run(args, 2);
            out.expect_untouched_around();
            for (std::int64_t r = 0; r < 3; ++r) {
                for (std::int64_t i = 0; i < heads * dim / 2; ++i) {
                    const std::int64_t h = i / (dim / 2), j = i % (dim / 2);
                    const std::int64_t a = interleaved ? 2 * j : j, b = interleaved ? 2 * j + 1 : j + dim / 2;
                    const float* in = x.data() + r * row_stride + h * head_stride;
                    const double angle =
                        positions[static_cast<std::size_t>(r)] *
                        std::pow(100.0, -2.0 * static_cast<double>(j) / static_cast<double>(dim));
                    // Rounded cosine and sine, two products, a sum.
                    const double bound = 4 * kUnit * (std::abs(in[a]) + std::abs(in[b]));
                    ASSERT_NEAR(out.at(3 * r + h, a), in[a] * std::cos(angle) - in[b] * std::sin(angle),
                                bound);
                    ASSERT_NEAR(out.at(3 * r + h, b), in[a] * std::sin(angle) + in[b] * std::cos(angle),
                                bound);
                }
            }
        }
    }
}

TEST_P(Rope, WorksInPlaceOnManyRows) {
    const std::int64_t rows = 64, heads = 16, dim = 64;
    const Angles angles(dim);
    std::vector<std::int32_t> positions;
    for (int r = 0; r < rows; ++r) positions.push_back(r % 20);
    const std::vector<float> x = Noise(1).vector(rows * heads * dim);
    for (const bool interleaved : {false, true}) {
        std::vector<float> apart(x.size()), place = x, alone = x;
        const auto rotate = [&](const float* from, float* to, std::int64_t first, std::int64_t count,
                                int threads) {
            run({from + first * heads * dim, heads * dim, dim, to + first * heads * dim, heads * dim, dim,
                 count, heads, dim, interleaved, positions.data() + first, angles.table.data()},
                threads);
        };
        rotate(x.data(), apart.data(), 0, rows, 1);
        rotate(place.data(), place.data(), 0, rows, 3);
        for (std::int64_t r = 0; r < rows; ++r) rotate(alone.data(), alone.data(), r, 1, 1);
        EXPECT_TRUE(same_bits(apart, place));
        EXPECT_TRUE(same_bits(apart, alone));
    }
}

SLUICE_EVERY_KERNEL(Rope, RopeArgs);

}  // namespace
}  // namespace sluice::test
