#include "kernel_suite.hpp"
#include "rope_cases.hpp"

#include <cmath>

namespace sluice::test {
namespace {

using Rope = KernelSuite<RopeArgs>;

TEST_P(Rope, RotatesPairs) {
    for (const RopeCase& c : checked(rope_cases())) {
        RopeCall call(c);
        run(call.args(), 2);
        call.out.expect_untouched_around();
        const std::int64_t pairs = c.dim / 2;
        for (std::int64_t r = 0; r < c.rows; ++r) {
            for (std::int64_t i = 0; i < c.heads * pairs; ++i) {
                const std::int64_t h = i / pairs, j = i % pairs, row = r * c.heads + h;
                const std::int64_t a = c.interleaved ? 2 * j : j, b = c.interleaved ? 2 * j + 1 : j + pairs;
                const float* in = call.x.data() + r * call.row_stride + h * call.head_stride;
                const double angle = rope_angle(call.positions[static_cast<std::size_t>(r)], j, c.dim);
                // Rounded cosine and sine, two products, a sum.
                const double bound = 4 * kUnit * (std::abs(in[a]) + std::abs(in[b]));
                ASSERT_NEAR(call.out.at(row, a), in[a] * std::cos(angle) - in[b] * std::sin(angle), bound)
                    << c.name();
                ASSERT_NEAR(call.out.at(row, b), in[a] * std::sin(angle) + in[b] * std::cos(angle), bound)
                    << c.name();
            }
        }
    }
}

TEST_P(Rope, WorksInPlaceOnManyRows) {
    const std::int64_t rows = 64, heads = 16, dim = 64;
    const std::vector<float> angles = rope_table(20, dim);
    std::vector<std::int32_t> positions;
    for (int r = 0; r < rows; ++r) positions.push_back(r % 20);
    const std::vector<float> x = Noise(1).vector(rows * heads * dim);
    for (const bool interleaved : {false, true}) {
        std::vector<float> apart(x.size()), place = x, alone = x;
        const auto rotate = [&](const float* from, float* to, std::int64_t first, std::int64_t count,
                                int threads) {
            run({from + first * heads * dim, heads * dim, dim, to + first * heads * dim, heads * dim, dim,
                 count, heads, dim, interleaved, positions.data() + first, angles.data()},
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
