// Operations that recur, on an emulated GPU or a true one: recorded, replayed, and never to the wrong effect.
#include "backend/devices.hpp"
#include "backend/exchange.hpp"
#include "backend/recurring.hpp"
#include "core/error.hpp"
#include "cuda/host_links.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace sluice {
namespace {

using kernels::Family;

class CudaRecordingTest : public testing::Test {
protected:
    void SetUp() override {
        if (const std::string missing = cuda_obstacle(); !missing.empty()) GTEST_SKIP() << missing;
        ops_.emplace(Family::Cuda, 1);
        x_ = filled({1, 2});
        bias_ = filled({10, 20});
    }
    const Ops& ops() const { return *ops_; }
    Tensor filled(const std::vector<float>& values) const {
        return ops().filled(DType::F32, {1, std::ssize(values)},
                            [&](View view) { std::ranges::copy(values, view.as<float>()); });
    }
    const float* values() const { return x_.view().as<float>(); }
    // x += bias
    void add() const {
        const View bias = bias_.view();
        ops().add_bias(dense_view(bias.data, DType::F32, {2}, bias.place), x_.view());
    }
    std::vector<float> x() const {
        std::vector<float> values(2);
        ops().download(x_.view().data, values.data(), sizeof(float) * 2);
        return values;
    }
    void set_bias(std::vector<float> values) const {
        ops().upload(values.data(), bias_.view().data, sizeof(float) * 2);
        ops().synchronize();
    }
    // More scratch memory than any operation here has claimed yet.
    void use_scratch(std::int64_t rows) const {
        const Tensor logits(ops().memory(), DType::F32, {rows, 1000});
        Exchange block(ops());
        block.begin(100'000);
        const auto wishes = block.place<kernels::VocabRow>(static_cast<std::size_t>(rows));
        for (std::size_t i = 0; i < wishes.host.size(); ++i) {
            wishes.host[i] = {};
            wishes.host[i].row = static_cast<std::int32_t>(i);
        }
        const auto slices = block.place<std::int32_t>(2);
        slices.host[0] = 0;
        slices.host[1] = 1000;
        kernels::VocabArgs args;
        args.logits = logits.view().as<float>();
        args.stride = 1000;
        args.rows = {wishes.here, wishes.host.size()};
        args.first_id = {slices.here, 2};
        args.widest_slice = 1000;
        args.summaries = block.place<kernels::VocabSummary>(static_cast<std::size_t>(rows)).here;
        args.candidates = block.place<kernels::VocabCandidate>(static_cast<std::size_t>(rows)).here;
        block.upload();
        ops().vocab(args);
        ops().synchronize();
    }

private:
    std::optional<Ops> ops_;
    Tensor x_, bias_;
};

TEST_F(CudaRecordingTest, IsReplayedAsOftenAsOneLikes) {
    const auto recording = ops().record([&] {
        add();
        add();
    });
    EXPECT_THAT(x(), testing::ElementsAre(1, 2));
    recording->replay();
    EXPECT_THAT(x(), testing::ElementsAre(21, 42));
    set_bias({1, 1});
    recording->replay();
    EXPECT_THAT(x(), testing::ElementsAre(23, 44));
}

TEST_F(CudaRecordingTest, SaysWhatCannotBeRecorded) {
    const auto refused = [&](const std::function<void()>& queue) -> std::string {
        try {
            ops().record(queue);
        } catch (const Error& error) {
            return error.what();
        }
        return "nothing";
    };
    EXPECT_THAT(refused([&] { ops().synchronize(); }), testing::HasSubstr("waiting for the device"));
    EXPECT_THAT(refused([&] { x(); }), testing::HasSubstr("a download"));
    EXPECT_THAT(refused([&] { set_bias({1, 1}); }), testing::HasSubstr("an upload"));
    EXPECT_THAT(refused([&] { ops().record([] {}); }), testing::HasSubstr("a recording"));
    const auto self = make_self();
    const auto links = test::link_by_host(*self, ops());
    const Tensor got(ops().memory(), DType::F32, {2});
    EXPECT_THAT(refused([&] { links->all_gather(values(), got.view().as<float>(), 2); }),
                testing::HasSubstr("a download"));
    EXPECT_THAT(refused([&] { const Tensor claimed(ops().memory(), DType::F32, {2}); }),
                testing::HasSubstr("cudaErrorStreamCapture"));
    add();
    EXPECT_THAT(x(), testing::ElementsAre(11, 22)) << "what was refused left something behind";
}

TEST_F(CudaRecordingTest, TheHostsOperationsAndTimedOnesAreNotRecorded) {
    OpClock clock;
    EXPECT_TRUE(ops().can_record());
    EXPECT_FALSE(Ops(Family::Cpu, 1).can_record());
    EXPECT_FALSE(Ops(Family::Cuda, 1, &clock).can_record());
    EXPECT_THROW(Ops(Family::Cpu, 1).record([] {}), Error);
}

TEST_F(CudaRecordingTest, WorkThatRecursIsCalledTwiceAndThenReplayed) {
    Recurring recurring(ops(), 2);
    int calls = 0;
    const auto work = [&] {
        ++calls;
        add();
    };
    for (int i = 1; i <= 5; ++i) {
        recurring.run({1}, work);
        EXPECT_THAT(x(), testing::ElementsAre(1 + 10 * i, 2 + 20 * i));
        EXPECT_EQ(calls, std::min(i, 2));
    }
    recurring.run({2}, work);
    EXPECT_EQ(calls, 3) << "of another key";
}

TEST_F(CudaRecordingTest, TheKeysUsedLastAreKept) {
    Recurring recurring(ops(), 2);
    int calls = 0;
    const auto run = [&](std::int64_t key) {
        const int before = calls;
        recurring.run({key}, [&] {
            ++calls;
            add();
        });
        return calls - before;
    };
    for (const std::int64_t key : {1, 1, 2, 2, 1}) run(key);
    EXPECT_EQ(recurring.size(), 2U);
    run(3);
    EXPECT_EQ(recurring.size(), 2U);
    EXPECT_EQ(run(1), 0);
    EXPECT_EQ(run(2), 1) << "3 took its place";
    EXPECT_EQ(recurring.size(), 2U);
}

TEST_F(CudaRecordingTest, ScratchMemoryThatMovedIsNotReplayed) {
    Recurring recurring(ops(), 4);
    int calls = 0;
    const auto run = [&] {
        recurring.run({1}, [&] {
            ++calls;
            add();
        });
    };
    use_scratch(1);
    for (int i = 0; i < 3; ++i) run();
    EXPECT_EQ(calls, 2);
    use_scratch(1);
    run();
    EXPECT_EQ(calls, 2);
    const void* const before = ops().workspace();
    use_scratch(200);
    ASSERT_NE(ops().workspace(), before);
    for (int i = 0; i < 3; ++i) run();
    EXPECT_EQ(calls, 4);
    EXPECT_THAT(x(), testing::ElementsAre(71, 142));
}

}  // namespace
}  // namespace sluice
