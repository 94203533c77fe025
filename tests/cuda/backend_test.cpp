// The backend of GPUs: on an emulated one, whose memory the host cannot touch, and on a true one where there
// is one.
#include "backend/available_memory.hpp"
#include "backend/devices.hpp"
#include "backend/exchange.hpp"
#include "core/error.hpp"
#include "model/step_inputs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice {
namespace {

using kernels::Family;

class CudaBackendTest : public testing::Test {
protected:
    Tensor on_device(const std::vector<float>& values, const Shape& shape) const {
        return ops().filled(DType::F32, shape,
                            [&](View view) { std::ranges::copy(values, view.as<float>()); });
    }
    std::vector<float> on_host(View view) const {
        std::vector<float> values(static_cast<std::size_t>(view.shape.elements()));
        ops().download(view.data, values.data(), values.size() * sizeof(float));
        return values;
    }

    void SetUp() override {
        if (const std::string missing = cuda_obstacle(0); !missing.empty()) GTEST_SKIP() << missing;
        ops_.emplace(Family::Cuda, 1);
    }
    const Ops& ops() const { return *ops_; }

private:
    std::optional<Ops> ops_;
};

TEST_F(CudaBackendTest, MemoryIsTheDevicesAndZeroed) {
    const Tensor tensor(ops().memory(), DType::F32, {1000});
    EXPECT_EQ(tensor.view().place, Place::Cuda);
    EXPECT_THAT(on_host(tensor.view()), testing::Each(0));
    EXPECT_DEATH(tensor.view().as<float>()[0] = 1, "");
}

TEST_F(CudaBackendTest, OperationsWorkOnTheDevicesMemory) {
    const std::vector<float> x = {1, 2, 3, 4, 5, 6}, gain = {1, 2};
    const Tensor out(ops().memory(), DType::F32, {3, 2});
    ops().rms_norm(on_device(x, {3, 2}).view(), on_device(gain, {2}).view(), 0, out.view());

    std::vector<float> expected(6);
    const Ops host(Family::Reference, 1);
    host.rms_norm({x.data(), DType::F32, Place::Host, {3, 2}, 2},
                  {gain.data(), DType::F32, Place::Host, {2}, 2}, 0,
                  dense_view(expected.data(), DType::F32, {3, 2}));
    EXPECT_THAT(on_host(out.view()), testing::Pointwise(testing::FloatEq(), expected));
}

TEST_F(CudaBackendTest, RefusesWhatLiesElsewhere) {
    std::vector<float> x = {1, 2};
    const Tensor gain = on_device({1, 2}, {2}), out = on_device({0, 0}, {1, 2});
    EXPECT_THROW(ops().rms_norm(dense_view(x.data(), DType::F32, {1, 2}), gain.view(), 0, out.view()), Error);
    EXPECT_THROW(Ops(Family::Cpu, 1).rms_norm(out.view(), gain.view(), 0, out.view()), Error);
}

TEST_F(CudaBackendTest, AnExchangeCarriesArraysBothWays) {
    Exchange exchange(ops());
    const std::vector<std::int32_t> ids = {2, 0, 9};
    exchange.begin(Exchange::room_for<std::int32_t>(3) + Exchange::room_for<float>(6));
    const std::int32_t* lent = exchange.lend(std::span(ids));
    const auto out = exchange.place<float>(6);
    EXPECT_NE(lent, ids.data());
    exchange.upload();
    const Tensor table = on_device({1, 2, 3, 4, 5, 6}, {3, 2});
    ops().embed({lent, DType::I32, Place::Cuda, {3}, 1}, table.view(), 0, 1,
                dense_view(out.here, DType::F32, {3, 2}, Place::Cuda));
    exchange.queue_download();
    ops().synchronize();
    EXPECT_THAT(out.host, testing::ElementsAre(5, 6, 1, 2, 0, 0));
}

// What recorded steps rest on (model/recurring_steps.hpp).
TEST_F(CudaBackendTest, StepsOfEqualSizesFindTheirArraysAtEqualAddresses) {
    StepInputs inputs(ops(), 5);
    const auto step_of = [](std::int32_t context) {
        Step step;
        for (std::int32_t row = 0; row < 5; ++row) {
            step.tokens.push_back(row);
            step.positions.push_back(context - 1);
            step.slots.push_back(row * 64);
            step.logit_rows.push_back(row);
            step.sequences.push_back({row, 1, context, static_cast<std::int32_t>(step.pages.size())});
            step.pages.insert(step.pages.end(), static_cast<std::size_t>((context + 63) / 64), row);
        }
        return step;
    };
    const auto addresses = [&](std::int32_t context) {
        const Step step = step_of(context);
        inputs.take(step);
        EXPECT_EQ(inputs.attention.most_context, context);
        EXPECT_EQ(inputs.blocks.size(), 1U);
        const RowBlock& block = inputs.blocks.front();
        return std::array<const void*, 7>{inputs.tokens.data,
                                          inputs.positions.data,
                                          inputs.slots.data,
                                          inputs.logit_rows.data,
                                          inputs.attention.sequences.data(),
                                          block.positions.data,
                                          block.attention.sequences.data()};
    };
    addresses(6400);
    const auto first = addresses(100);
    EXPECT_EQ(addresses(101), first);
    EXPECT_EQ(addresses(5000), first);
}

// The clock is told when the operations have ended, of each by its name.
TEST_F(CudaBackendTest, AClockIsToldOfOperationsOnceTheyHaveEnded) {
    OpClock clock;
    const Ops timed(Family::Cuda, 1, &clock);
    const Tensor x = on_device({1, 2, 3, 4}, {2, 2}), gain = on_device({1, 2}, {2});
    for (int step = 1; step <= 2; ++step) {
        for (int i = 0; i < 3; ++i) timed.rms_norm(x.view(), gain.view(), 0, x.view());
        timed.add_bias(gain.view(), x.view());
        EXPECT_EQ(clock.totals().size(), step == 1 ? 0U : 2U) << "they are only queued";
        timed.synchronize();
        timed.synchronize();
        ASSERT_EQ(clock.totals().size(), 2U);
        EXPECT_EQ(clock.totals().at("rms_norm").calls, 3 * step);
        EXPECT_EQ(clock.totals().at("add_bias").calls, step);
        EXPECT_GT(clock.totals().at("rms_norm").seconds, 0);
    }
}

// An operation that lets the workspace grow waits before its time begins.
TEST_F(CudaBackendTest, AClockTimesOperationsWithAGrowingWorkspace) {
    OpClock clock;
    const Ops timed(Family::Cuda, 1, &clock);
    const std::vector<float> logits = {1, 3, 2, 0};
    const std::vector<kernels::VocabRow> rows(1);
    Exchange exchange(timed);
    exchange.begin(4096);
    kernels::VocabArgs args;
    args.logits = exchange.lend(std::span(logits));
    args.stride = args.widest_slice = 4;
    args.rows = {exchange.lend(std::span(rows)), 1};
    const std::vector<std::int32_t> first_id = {0, 4};
    args.first_id = {exchange.lend(std::span(first_id)), 2};
    const auto summaries = exchange.place<kernels::VocabSummary>(1);
    const auto candidates = exchange.place<kernels::VocabCandidate>(1);
    args.summaries = summaries.here;
    args.candidates = candidates.here;
    exchange.upload();
    timed.vocab(args);
    exchange.queue_download();
    timed.synchronize();
    EXPECT_EQ(candidates.host[0].id, 1);
    EXPECT_EQ(clock.totals().at("vocab").calls, 1);
}

TEST_F(CudaBackendTest, MeasuresItsCeilings) {
    const std::unique_ptr<CeilingMeter> meter = ops().ceilings(1 << 20);
    EXPECT_GT(meter->read_rate(), 0);
}

TEST_F(CudaBackendTest, SaysWhatIsThere) {
    const std::vector<Device> devices = cuda_devices();
    ASSERT_FALSE(devices.empty());
    EXPECT_TRUE(devices.front().architecture.starts_with("sm_")) << devices.front().architecture;
    const std::uint64_t available = available_memory(Family::Cuda, 0);
    EXPECT_GT(available, 0U);
    EXPECT_LT(available, devices.front().memory);
    EXPECT_THROW(Ops(Family::Cuda, 1, nullptr, static_cast<int>(devices.size())), Error);
}

TEST_F(CudaBackendTest, SaysWhatIsMissingWhereThereIsNoRoom) {
    try {
        const Tensor tensor(ops().memory(), DType::F32, {std::int64_t{1} << 40});
        FAIL() << "there is no such GPU";
    } catch (const Error& refused) {
        EXPECT_THAT(refused.what(), testing::HasSubstr("4.00 TiB of the GPU's memory"));
    }
}

}  // namespace
}  // namespace sluice
