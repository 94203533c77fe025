#include "gate_cases.hpp"
#include "kernel_suite.hpp"

#include <cmath>

namespace sluice::test {
namespace {

using Gate = KernelSuite<GateArgs>;

double activate(double x, Activation activation) {
    const double cubic = 2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    return x / (1 + std::exp(activation == Activation::Silu ? -x : -cubic));
}

// Rounding of the exponent is multiplied by its size; eight more operations; below 2^-126 sigmoid may be 0.
double gate_bound(double x, double up, Activation activation) {
    const double exponent =
        activation == Activation::Silu ? 0 : 1.6 * (std::abs(x) + 0.045 * std::abs(x * x * x));
    const double value = activate(x, activation) * up;
    return (16 + 4 * std::min(exponent, 90.0)) * kUnit * std::abs(value) + std::abs(x * up) * 0x1p-125 +
           1e-44;
}

TEST_P(Gate, AgreesWithTheFormula) {
    for (const GateCase& c : checked(gate_cases())) {
        GateCall call(c);
        run(call.args(), 2);
        call.out.expect_untouched_around();
        for (std::int64_t r = 0; r < c.rows; ++r) {
            for (std::int64_t i = 0; i < c.width; ++i) {
                const double gate = call.x[static_cast<std::size_t>(r * 2 * c.width + i)];
                const double up = call.x[static_cast<std::size_t>(r * 2 * c.width + c.width + i)];
                ASSERT_NEAR(call.out.at(r, i), activate(gate, c.activation) * up,
                            gate_bound(gate, up, c.activation))
                    << c.name() << ": " << gate << ' ' << up;
            }
        }
    }
}

TEST_P(Gate, ExtremesSaturateAndNaNStays) {
    const std::vector<float> x = {0, -0.0F, 1e4F, -1e4F, 88, -88, NAN, 1e-30F, 1, 1, 1, 1, 1, 1, 1, 1};
    for (const Activation activation : {Activation::Silu, Activation::GeluTanh}) {
        std::vector<float> out(8);
        run({x.data(), 1, 8, activation, out.data()});
        EXPECT_EQ(out[0], 0);
        EXPECT_EQ(out[1], 0);
        EXPECT_EQ(out[2], 1e4F);
        EXPECT_NEAR(out[3], 0, 1e-30);
        EXPECT_EQ(out[4], 88);
        EXPECT_NEAR(out[5], 0, 1e-30);
        EXPECT_TRUE(std::isnan(out[6]));
        EXPECT_FLOAT_EQ(out[7], 0.5e-30F);
    }
}

TEST_P(Gate, PlaceInTheCallDoesNotMatter) {
    const std::int64_t rows = 60, width = 301;
    const std::vector<float> x = Noise(11).vector(rows * 2 * width, 20);
    for (const Activation activation : {Activation::Silu, Activation::GeluTanh}) {
        std::vector<float> one(rows * width), three(one.size()), narrow(one.size());
        run({x.data(), rows, width, activation, one.data()}, 1);
        run({x.data(), rows, width, activation, three.data()}, 3);
        EXPECT_TRUE(same_bits(one, three));
        for (std::int64_t i = 0; i < rows * width; ++i) {  // every element in lane 0 of its own call
            const float* gate = x.data() + i / width * 2 * width + i % width;
            const std::vector<float> pair = {gate[0], gate[width]};
            run({pair.data(), 1, 1, activation, narrow.data() + i});
        }
        EXPECT_TRUE(same_bits(one, narrow));
    }
}

SLUICE_EVERY_KERNEL(Gate, GateArgs);

}  // namespace
}  // namespace sluice::test
