// Blocks of device memory, which are not touched here.
#include "kernels/cuda/memory.hpp"
#include "core/error.hpp"
#include "kernels/cuda/device.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <thread>

namespace sluice::kernels::cuda {
namespace {

class CudaMemory : public testing::Test {
protected:
    void SetUp() override {
        if (!available()) GTEST_SKIP() << "this machine has no GPU";
    }
};

TEST_F(CudaMemory, BlocksLieSideBySideInWhatWasClaimedForThem) {
    const auto claimed = claim_for_blocks(256 + 512 + 256);
    const auto a = allocate_block(1), b = allocate_block(257), c = allocate_block(256);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.get()) % kBlockAlignment, 0U);
    EXPECT_EQ(b.get() - a.get(), 256);
    EXPECT_EQ(c.get() - b.get(), 512);
    const auto beyond = allocate_block(1);
    EXPECT_TRUE(beyond.get() < a.get() || beyond.get() >= c.get() + 256);
}

TEST_F(CudaMemory, AClaimIsForOneThreadAndItsTime) {
    auto claimed = claim_for_blocks(4096);
    const auto here = allocate_block(256);
    std::shared_ptr<std::byte> elsewhere;
    std::thread([&] { elsewhere = allocate_block(256); }).join();
    EXPECT_TRUE(elsewhere.get() < here.get() || elsewhere.get() >= here.get() + 4096);
    claimed.reset();
    const auto later = allocate_block(256);
    EXPECT_TRUE(later.get() < here.get() || later.get() >= here.get() + 4096);
}

TEST_F(CudaMemory, SaysWhatIsFreeWhereThereIsTooLittle) {
    try {
        claim_for_blocks(std::size_t{1} << 50);
        FAIL() << "there is no such GPU";
    } catch (const Error& refused) {
        EXPECT_EQ(refused.code(), ExitCode::Internal);
        EXPECT_THAT(refused.what(), testing::HasSubstr("1024.00 TiB of the GPU's memory"));
        EXPECT_THAT(refused.what(), testing::HasSubstr("are free"));
    }
}

}  // namespace
}  // namespace sluice::kernels::cuda
