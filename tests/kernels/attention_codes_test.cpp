// What the codes of a page of e4m3 mean.
#include "attention_fixture.hpp"
#include "kernel_suite.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sluice::test {
namespace {

class AttentionCodes : public AttentionSuite {};

// All numbers as values, and NaN as keys.
TEST_P(AttentionCodes, AreReadAsFp8ToFloatSays) {
    const Heads heads{1, 1, 256, 256, true, DType::F8E4M3, 0, 0};
    if (!takes(heads)) GTEST_SKIP() << "it takes no e4m3";
    const std::vector<std::int32_t> page = {0};
    const auto run_on = [&](const std::vector<fp8>& keys, const std::vector<float>& q) {
        std::vector<float> out(256);
        std::vector<fp8> pages(256 * kPageTokens, fp8{0xff});
        std::copy(keys.begin(), keys.end(), pages.begin());
        AttentionArgs args = Pages(heads, 1, 0).args();
        const std::vector<SequenceRows> rows = {{0, 1, 1, page.data(), {}}};
        args.keys = args.values = pages.data();
        args.q = q.data();
        args.sequences = rows;
        args.out = out.data();
        run(args);
        return out;
    };
    std::vector<fp8> numbers(256);
    std::iota(numbers.begin(), numbers.end(), fp8{0});
    numbers[0x7f] = numbers[0xff] = 0;  // NaN as a key leaves no column a number
    const std::vector<float> values = run_on(numbers, std::vector<float>(256));
    for (std::size_t i = 0; i < 256; ++i) {
        EXPECT_EQ(values[i], fp8_to_float(numbers[i])) << i;
    }
    for (const fp8 nan : {fp8{0x7f}, fp8{0xff}}) {
        std::vector<fp8> one(256);
        one[200] = nan;
        EXPECT_TRUE(std::isnan(run_on(one, std::vector<float>(256, 1.0F))[0])) << "a key";
    }
}

SLUICE_EVERY_KERNEL(AttentionCodes, AttentionArgs);

}  // namespace
}  // namespace sluice::test
