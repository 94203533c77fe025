// What a machine with a GPU runs on it.
#include "kernels/args.hpp"
#include "kernels/kernel.hpp"

#include <gtest/gtest.h>

namespace sluice::kernels {
namespace {

template <class Args>
class CudaChoice : public testing::Test {};
using AllOps = testing::Types<PackArgs, ProductArgs, ExpertProductArgs, EmbedArgs, RmsNormArgs, SeamArgs,
                              RopeArgs, StoreRowsArgs, AttentionArgs, BiasArgs, GateArgs, RouteArgs,
                              GroupArgs, CombineArgs, VocabArgs>;
TYPED_TEST_SUITE(CudaChoice, AllOps);

TYPED_TEST(CudaChoice, IsTheFamilysOwnKernelWhereThereIsAGpu) {
    Machine machine;
    EXPECT_EQ(find(Family::Cuda, TypeParam{}, machine), nullptr);
    machine.cuda = [] { return true; };
    EXPECT_EQ(choose(Family::Cuda, TypeParam{}, machine).name, "cuda");
    EXPECT_EQ(choose(Family::Cpu, TypeParam{}, machine).family, Family::Cpu);
}

}  // namespace
}  // namespace sluice::kernels
