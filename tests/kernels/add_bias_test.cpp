#include "kernel_suite.hpp"
#include "support/guarded.hpp"

namespace sluice::test {
namespace {

using AddBias = KernelSuite<BiasArgs>;

TEST_P(AddBias, AddsToEveryRow) {
    for (const std::int64_t width : {1, 15, 16, 33, 2000}) {
        const std::int64_t rows = 40, stride = width + 3;
        Noise noise(static_cast<std::uint64_t>(width));
        const std::vector<float> before = noise.vector(rows * width), bias = noise.vector(width);
        for (const int threads : {1, 3}) {
            Guarded<float> x(rows, width, stride);
            for (std::int64_t i = 0; i < rows * width; ++i)
                x.data()[i / width * stride + i % width] = before[static_cast<std::size_t>(i)];
            run({bias.data(), x.data(), stride, rows, width}, threads);
            x.expect_untouched_around();
            for (std::int64_t i = 0; i < rows * width; ++i) {
                ASSERT_EQ(x.at(i / width, i % width),
                          before[static_cast<std::size_t>(i)] + bias[static_cast<std::size_t>(i % width)])
                    << "width " << width << ", element " << i;
            }
        }
    }
}

TEST_P(AddBias, TakesNoRows) { run({}); }

SLUICE_EVERY_KERNEL(AddBias, BiasArgs);

}  // namespace
}  // namespace sluice::test
