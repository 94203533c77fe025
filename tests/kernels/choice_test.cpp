// Which implementation a machine runs, and how SLUICE_ISA lowers a machine.
#include "kernels/args.hpp"
#include "kernels/kernel.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sluice::kernels {
namespace {

constexpr Machine kGeneric{};
constexpr Machine kAvx2{true, false, false, false};
constexpr Machine kAvx512{true, true, false, false};
constexpr Machine kBf16{true, true, true, false};
constexpr Machine kSlowBf16{true, true, true, true};

template <class Args>
std::string chosen(const Machine& machine, Family family = Family::Cpu) {
    return std::string(choose(family, Args{}, machine).name);
}

bool same(const Machine& a, const Machine& b) {
    return a.avx2 == b.avx2 && a.avx512 == b.avx512 && a.avx512_bf16 == b.avx512_bf16 &&
           a.slow_bf16_dot == b.slow_bf16_dot;
}

template <class Args>
void expect_reference() {
    for (const Machine& machine : {kGeneric, kBf16})
        EXPECT_EQ(chosen<Args>(machine, Family::Reference), "reference");
}

#if defined(__x86_64__)
template <class Args>
class ByDots : public testing::Test {};
using DotOps = testing::Types<ProductArgs, AttentionArgs>;
TYPED_TEST_SUITE(ByDots, DotOps);

TYPED_TEST(ByDots, TakesTheBestSetThatIsNotSlow) {
    EXPECT_EQ(chosen<TypeParam>(kBf16), "cpu.avx512_bf16");
    EXPECT_EQ(chosen<TypeParam>(kSlowBf16), "cpu.avx512");
    EXPECT_EQ(chosen<TypeParam>(kAvx512), "cpu.avx512");
    EXPECT_EQ(chosen<TypeParam>(kAvx2), "cpu.avx2");
    EXPECT_EQ(chosen<TypeParam>(kGeneric), "cpu.generic");
    expect_reference<TypeParam>();
}

TEST(Choose, AttentionOverFloat32PagesAloneStaysFloat32) {
    AttentionArgs args;
    args.page_dtype = DType::F32;
    EXPECT_EQ(choose(Family::Cpu, args, kBf16).name, "cpu.avx512");
    args.page_dtype = DType::F8E4M3;  // whose values are bfloat16, too
    EXPECT_EQ(choose(Family::Cpu, args, kBf16).name, "cpu.avx512_bf16");
}

template <class Args>
class ByLevel : public testing::Test {};
using LevelOps = testing::Types<RmsNormArgs, SeamArgs, StoreRowsArgs, GateArgs, CombineArgs, VocabArgs>;
TYPED_TEST_SUITE(ByLevel, LevelOps);

TYPED_TEST(ByLevel, TakesTheBestSet) {
    for (const Machine& machine : {kBf16, kSlowBf16, kAvx512})
        EXPECT_EQ(chosen<TypeParam>(machine), "cpu.avx512");
    EXPECT_EQ(chosen<TypeParam>(kAvx2), "cpu.avx2");
    EXPECT_EQ(chosen<TypeParam>(kGeneric), "cpu.generic");
    expect_reference<TypeParam>();
}
#endif

template <class Args>
class Everywhere : public testing::Test {};
using PlainOps = testing::Types<PackArgs, EmbedArgs, RopeArgs, BiasArgs, RouteArgs, GroupArgs>;
TYPED_TEST_SUITE(Everywhere, PlainOps);

TYPED_TEST(Everywhere, TakesTheOneForAll) {
    for (const Machine& machine : {kGeneric, kAvx2, kAvx512, kBf16, kSlowBf16})
        EXPECT_EQ(chosen<TypeParam>(machine), "cpu");
    expect_reference<TypeParam>();
}

TEST(Choose, FailsForAFamilyThatTheMachineDoesNotRun) {
    EXPECT_THROW(choose(Family::Cuda, EmbedArgs{}, kBf16), Error);
}

TEST(Lowered, KeepsWhatTheMachineHasUpToTheLevel) {
    EXPECT_TRUE(same(lowered(kSlowBf16, "generic"), kGeneric));
    EXPECT_TRUE(same(lowered(kSlowBf16, "avx2"), kAvx2));
    EXPECT_TRUE(same(lowered(kSlowBf16, "avx512"), kAvx512));
    EXPECT_TRUE(same(lowered(kSlowBf16, "avx512_bf16"), kBf16));  // asked for by name: slow or not
    EXPECT_TRUE(same(lowered(kAvx2, "avx512_bf16"), kAvx2));      // lowers, never raises
    EXPECT_TRUE(same(lowered(kGeneric, "avx2"), kGeneric));
}

TEST(Lowered, IsTheLevelItWasAskedFor) {
    for (const char* level : {"generic", "avx2", "avx512", "avx512_bf16"})
        EXPECT_EQ(level_of(lowered(kSlowBf16, level)), level);
    EXPECT_EQ(level_of(kSlowBf16), "avx512");
}

TEST(Lowered, MmaSyncIsOfTheGpuAlone) {
    Machine machine = kSlowBf16;
    machine.wgmma = [] { return true; };
    EXPECT_TRUE(lowered(machine, "avx2").wgmma());
    EXPECT_FALSE(lowered(machine, "mma_sync").wgmma());
    EXPECT_TRUE(same(lowered(machine, "mma_sync"), machine));
}

TEST(Lowered, RefusesUnknownLevels) {
    for (const char* level : {"", "sse", "AVX2", "avx512_bf16 ", "amx"}) {
        try {
            lowered(kBf16, level);
            FAIL() << "took '" << level << "'";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ExitCode::Usage);
            EXPECT_NE(std::string(error.what()).find("generic, avx2, avx512 or avx512_bf16"),
                      std::string::npos)
                << error.what();
        }
    }
}

TEST(ThisMachine, IncludesTheLevelsBelow) {
    const Machine& machine = this_machine();
    EXPECT_TRUE(machine.avx2 || !machine.avx512);
    EXPECT_TRUE(machine.avx512 || !machine.avx512_bf16);
    EXPECT_EQ(&machine, &this_machine());
}

}  // namespace
}  // namespace sluice::kernels
