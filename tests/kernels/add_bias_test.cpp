#include "add_bias_cases.hpp"
#include "kernel_suite.hpp"

namespace sluice::test {
namespace {

using AddBias = KernelSuite<BiasArgs>;

TEST_P(AddBias, AddsToEveryRow) {
    for (const AddBiasCase& c : checked(add_bias_cases())) {
        for (const int threads : {1, 3}) {
            AddBiasCall call(c);
            run(call.args(), threads);
            call.x.expect_untouched_around();
            for (std::int64_t i = 0; i < c.rows * c.width; ++i) {
                ASSERT_EQ(call.x.at(i / c.width, i % c.width),
                          call.before[static_cast<std::size_t>(i)] +
                              call.bias[static_cast<std::size_t>(i % c.width)])
                    << c.name() << ", element " << i;
            }
        }
    }
}

TEST_P(AddBias, TakesNoRows) { run({}); }

SLUICE_EVERY_KERNEL(AddBias, BiasArgs);

}  // namespace
}  // namespace sluice::test
