// Links over NCCL, on a true GPU: of one rank with itself, for two do not share one.
#include "comm/nccl.hpp"
#include "backend/devices.hpp"
#include "backend/ops.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace sluice::test {
namespace {

// Queued first, then recorded with what comes between: as decode steps are.
TEST(CudaNccl, MovesValuesInTheStreamsTurn) {
    if (const std::string missing = cuda_obstacle(); !missing.empty()) GTEST_SKIP() << missing;
    if (const std::string missing = nccl_obstacle({}); !missing.empty()) GTEST_SKIP() << missing;
    const Ops ops(kernels::Family::Cuda, 1);
    const auto self = make_self();
    const auto links = make_nccl_links(*self, ops.stream());
    std::vector<float> values(100'000);
    std::ranges::generate(values, [next = 0.0F]() mutable { return next++; });
    const Shape shape{std::ssize(values)};
    const Tensor from(ops.memory(), DType::F32, shape), gathered(ops.memory(), DType::F32, shape),
        exchanged(ops.memory(), DType::F32, shape);
    ops.upload(values.data(), from.view().data, from.bytes());
    const auto move = [&] {
        links->all_gather(from.view().as<float>(), gathered.view().as<float>(), values.size());
        links->exchange(gathered.view().as<float>(), exchanged.view().as<float>(), values.size());
    };
    const auto expect_moved = [&] {
        std::vector<float> got(values.size());
        ops.download(exchanged.view().data, got.data(), exchanged.bytes());
        EXPECT_EQ(got, values);
    };
    move();
    expect_moved();
    const auto recording = ops.record(move);
    for (int i = 0; i < 2; ++i) {
        std::ranges::for_each(values, [](float& value) { value += 0.5F; });
        ops.upload(values.data(), from.view().data, from.bytes());
        recording->replay();
        expect_moved();
    }
}

}  // namespace
}  // namespace sluice::test
