// The ceilings that benchmarks measure against: that they do the work they are paid for.
#include "kernels/cpu/ceilings.hpp"

#include "kernels/cpu/ceilings_isa.hpp"
#include "kernels/kernel.hpp"

#include <gtest/gtest.h>

#include <string_view>
#include <utility>
#include <vector>

namespace sluice::kernels::test {
namespace {

// Of every instruction set that this machine has.
std::vector<std::pair<std::string_view, const cpu::CeilingIsa*>> ceilings() {
    std::vector<std::pair<std::string_view, const cpu::CeilingIsa*>> all{{"generic", &cpu::kCeilingGeneric}};
#if defined(__x86_64__)
    const Machine& machine = this_machine();
    if (machine.avx2) all.emplace_back("avx2", &cpu::kCeilingAvx2);
    if (machine.avx512) all.emplace_back("avx512", &cpu::kCeilingAvx512);
    if (machine.avx512_bf16) all.emplace_back("avx512_bf16", &cpu::kCeilingAvx512Bf16);
#endif
    return all;
}

TEST(CeilingsTest, EveryValueIsRead) {
    constexpr std::int64_t kRounds = 7;
    for (const auto& [level, isa] : ceilings()) {
        std::vector<float> values(kRounds * cpu::kSumFloats, 0);
        for (float& each : values) {
            each = 3;
            EXPECT_EQ(isa->sum(values.data(), kRounds), 3) << level << " " << &each - values.data();
            each = 0;
        }
    }
}

TEST(CeilingsTest, OperationsGrowWithTheRounds) {
    for (const auto& [level, isa] : ceilings()) {
        const double one = isa->multiply(1);
        EXPECT_GE(one, 32) << level;
        EXPECT_EQ(isa->multiply(1000), 1000 * one) << level;
    }
}

TEST(CeilingsTest, EveryLevelHasARate) {
    for (const auto& [level, isa] : ceilings()) EXPECT_GT(cpu::multiply_rate(level, 2, 1000), 0) << level;
    EXPECT_THROW(cpu::multiply_rate("avx1024", 1, 1), Error);
}

TEST(CeilingsTest, AStreamIsReadWhole) {
    const cpu::ReadStream stream((std::size_t{4} << 20U) + 100, 2);
    EXPECT_EQ(stream.bytes(), std::size_t{4} << 20U) << "whole rounds";
    EXPECT_GT(stream.read_rate(), 0);
}

}  // namespace
}  // namespace sluice::kernels::test
