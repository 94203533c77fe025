#include "kernel_suite.hpp"
#include "rms_norm_cases.hpp"

#include <cmath>

namespace sluice::test {
namespace {

using RmsNorm = KernelSuite<RmsNormArgs>;
using Seam = KernelSuite<SeamArgs>;

// 64 partial sums of positive terms, one rounding for each square and each addition, halved by the root; then
// the mean, eps, root, quotient, two products and the reference's own rounding.
double norm_bound(std::int64_t dim, double value) {
    return ((static_cast<double>(dim) / 64 + 8) / 2 + 7) * kUnit * std::abs(value);
}

TEST_P(RmsNorm, AgreesWithADirectFormula) {
    for (const RmsNormCase& c : checked(rms_norm_cases())) {
        RmsNormCall call(c);
        run(call.args(), 2);
        call.out.expect_untouched_around();
        for (std::int64_t r = 0; r < c.rows; ++r) {
            const float* row = call.x.data() + r * call.stride;
            double squares = 0;
            for (std::int64_t i = 0; i < c.dim; ++i) squares += static_cast<double>(row[i]) * row[i];
            const double root = std::sqrt(squares / static_cast<double>(c.dim) + 1e-6F);
            for (std::int64_t i = 0; i < c.dim; ++i) {
                const double want = row[i] / root * call.gain[static_cast<std::size_t>(i)];
                ASSERT_NEAR(call.out.at(r, i), want, norm_bound(c.dim, want) + 1e-44) << c.name();
            }
        }
    }
}

TEST_P(RmsNorm, WorksInPlaceAndRowsAreIndependent) {
    const std::int64_t rows = 64, dim = 1030;
    Noise noise(3);
    const std::vector<float> x = noise.vector(rows * dim), gain = noise.vector(dim);
    std::vector<float> whole = x;
    run({whole.data(), dim, gain.data(), rows, dim, 1e-6F, whole.data(), dim}, 1);
    std::vector<float> threaded(x.size()), alone(x.size());
    run({x.data(), dim, gain.data(), rows, dim, 1e-6F, threaded.data(), dim}, 3);
    for (std::int64_t r = 0; r < rows; ++r) {
        run({x.data() + r * dim, dim, gain.data(), 1, dim, 1e-6F, alone.data() + r * dim, dim});
    }
    EXPECT_TRUE(same_bits(whole, threaded));
    EXPECT_TRUE(same_bits(whole, alone));
}

TEST_P(RmsNorm, NaNStaysInItsRow) {
    std::vector<float> x(2 * 70, 1.0F), out(x.size());
    const std::vector<float> gain(70, 1.0F);
    x[69] = NAN;
    run({x.data(), 70, gain.data(), 2, 70, 0, out.data(), 70});
    for (std::size_t i = 0; i < 70; ++i) {
        EXPECT_TRUE(std::isnan(out[i]));
        EXPECT_EQ(out[70 + i], 1.0F);
    }
}

TEST_P(RmsNorm, TakesNoRows) { run({}); }

TEST_P(Seam, AddsThenNorms) {
    for (const SeamCase& c : checked(seam_cases())) {
        SeamCall call(c);
        run(call.args());
        const Guarded<float>& stream = call.stream;
        stream.expect_untouched_around();
        call.out.expect_untouched_around();
        for (std::int64_t r = 0; r < c.rows; ++r) {
            const float* d = call.delta.data() + r * c.dim;
            double squares = 0, stream_squares = 0;
            for (std::int64_t i = 0; i < c.dim; ++i) squares += static_cast<double>(d[i]) * d[i];
            const double root = std::sqrt(squares / static_cast<double>(c.dim) + 1e-6F);
            for (std::int64_t i = 0; i < c.dim; ++i) {
                const double added = c.post ? d[i] / root * call.gain[static_cast<std::size_t>(i)] : d[i];
                const double want = call.x[static_cast<std::size_t>(r * c.dim + i)] + added;
                ASSERT_NEAR(stream.at(r, i), want, norm_bound(c.dim, added) + kUnit * std::abs(want));
                stream_squares += static_cast<double>(stream.at(r, i)) * stream.at(r, i);
            }
            const double next_root = std::sqrt(stream_squares / static_cast<double>(c.dim) + 1e-6F);
            for (std::int64_t i = 0; i < c.dim; ++i) {
                const double want = stream.at(r, i) / next_root * call.next[static_cast<std::size_t>(i)];
                ASSERT_NEAR(call.out.at(r, i), want, norm_bound(c.dim, want) + 1e-44) << c.name();
            }
        }
    }
}

TEST_P(Seam, RowsAndThreadsDoNotMatter) {
    const std::int64_t rows = 40, dim = 1024;
    Noise noise(5);
    const std::vector<float> start = noise.vector(rows * dim), delta = noise.vector(rows * dim),
                             gain = noise.vector(dim);
    std::vector<float> x[3] = {start, start, start}, out[3];
    for (auto& o : out) o.resize(start.size());
    for (int i = 0; i < 2; ++i) {
        run({x[i].data(), delta.data(), gain.data(), gain.data(), rows, dim, 1e-6F, out[i].data()}, i + 1);
    }
    for (std::int64_t r = 0; r < rows; ++r) {
        run({x[2].data() + r * dim, delta.data() + r * dim, gain.data(), gain.data(), 1, dim, 1e-6F,
             out[2].data() + r * dim});
    }
    for (int i = 1; i < 3; ++i) {
        EXPECT_TRUE(same_bits(x[0], x[i]));
        EXPECT_TRUE(same_bits(out[0], out[i]));
    }
}

SLUICE_EVERY_KERNEL(RmsNorm, RmsNormArgs);
SLUICE_EVERY_KERNEL(Seam, SeamArgs);

}  // namespace
}  // namespace sluice::test
