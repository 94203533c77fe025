// The elementary functions of the portable set; those of the others are seen through the kernels that use
// them.
#include "kernels/cpu/math.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice::kernels::cpu {
namespace {

using Functions = Math<Generic>;

float lane(Generic::F32 v) {
    float lanes[Generic::kLanes];
    Generic::store(lanes, v);
    return lanes[3];
}
float exp_of(float x) { return lane(Functions::exp(Generic::set(x))); }
float tanh_of(float x) { return lane(Functions::tanh(Generic::set(x))); }
float sigmoid_of(float x) { return lane(Functions::sigmoid(Generic::set(x))); }

// The difference in units of the last place of `want` as a float32.
double ulps(float found, double want) {
    return std::abs(found - want) / std::ldexp(1.0, std::ilogb(want) - 23);
}

TEST(Math, IsAsAccurateAsItSays) {
    for (int i = 0; i <= 400000; ++i) {
        const float x = -87.3F + static_cast<float>(i) * (175.3F / 400000);
        ASSERT_LE(ulps(exp_of(x), std::exp(static_cast<double>(x))), 2) << x;
        ASSERT_LE(ulps(sigmoid_of(x), 1 / (1 + std::exp(-static_cast<double>(x)))), 4) << x;
        const float y = x / 16;
        if (y == 0) continue;
        ASSERT_LE(ulps(tanh_of(y), std::tanh(static_cast<double>(y))), 4) << y;
    }
}

TEST(Math, EndsAreExact) {
    EXPECT_EQ(exp_of(0), 1);
    EXPECT_EQ(exp_of(-0.0F), 1);
    EXPECT_EQ(exp_of(-INFINITY), 0);
    EXPECT_EQ(exp_of(-87.34F), 0);
    EXPECT_EQ(exp_of(-3e38F), 0);
    EXPECT_TRUE(std::isnan(exp_of(NAN)));
    EXPECT_EQ(tanh_of(0), 0);
    EXPECT_EQ(tanh_of(1e-30F), 1e-30F);
    EXPECT_EQ(tanh_of(20), 1);
    EXPECT_EQ(tanh_of(-INFINITY), -1);
    EXPECT_TRUE(std::isnan(tanh_of(NAN)));
    EXPECT_EQ(sigmoid_of(INFINITY), 1);
    EXPECT_EQ(sigmoid_of(-INFINITY), 0);
    EXPECT_EQ(sigmoid_of(0), 0.5F);
    EXPECT_TRUE(std::isnan(sigmoid_of(NAN)));
}

}  // namespace
}  // namespace sluice::kernels::cpu
