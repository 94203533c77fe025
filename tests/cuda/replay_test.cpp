// Whole models on the emulated GPU, whose decode steps are replayed: the same bits as without, and without
// the decoder's doing. Ranks are threads, and their links only queue.
#include "core/error.hpp"
#include "cuda/emulation/stream.hpp"
#include "cuda/stream_links.hpp"
#include "engine/engine.hpp"
#include "support/small_model.hpp"

#include <fmt/core.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <tuple>
#include <vector>

namespace sluice::test {
namespace {

using emulation::asked;
using kernels::Family;
using kernels::kPageTokens;

// Who watches a step has it run operation by operation, and as it is.
class Bystander : public StepObserver {
public:
    void hidden(int, ConstView) override {}
    void routing(int, ConstView, ConstView) override {}
};

struct Sequence {
    std::int32_t number = 0, context = 0;  // stored already
    std::int32_t masked = 0;               // of its first positions
};

// The next `rows` tokens of each, whose logits are wanted where they are the last. Sequence s has every fifth
// page from the s-th on.
Step step_of(std::vector<Sequence>& sequences, int rows, const ModelConfig& config) {
    Step step;
    for (Sequence& sequence : sequences) {
        const auto first_row = static_cast<std::int32_t>(step.tokens.size());
        const auto page_of = [&](std::int32_t position) {
            return sequence.number + 5 * (position / kPageTokens);
        };
        for (int i = 0; i < rows; ++i) {
            const std::int32_t position = sequence.context++;
            step.tokens.push_back((position * 13 + sequence.number * 5) % config.vocab);
            step.positions.push_back(position);
            step.slots.push_back(page_of(position) * kPageTokens + position % kPageTokens);
        }
        step.logit_rows.push_back(static_cast<std::int32_t>(step.tokens.size()) - 1);
        step.sequences.push_back({first_row, rows, sequence.context,
                                  static_cast<std::int32_t>(step.pages.size()),
                                  static_cast<std::int32_t>(step.masked.size()), sequence.masked});
        for (std::int32_t p = 0; p < sequence.context; p += kPageTokens) step.pages.push_back(page_of(p));
        for (std::int32_t p = 0; p < sequence.masked; ++p) step.masked.push_back(p);
    }
    return step;
}

// A rank's two models: one whose steps are replayed, and one that is observed.
class Models {
public:
    Models(const char* checkpoint, const SmallModelOptions& options, Communicator& ranks)
        : replayed_(checkpoint, options, ranks), plain_(checkpoint, options, ranks) {}

    // Both ways, and the kernels that the first one asked for.
    std::uint64_t compare(std::vector<Sequence>& sequences, int rows) {
        const Step step = step_of(sequences, rows, plain_.config());
        const std::uint64_t before = asked.launches;
        const std::vector<float> logits = run(replayed_, step, nullptr);
        const std::uint64_t launches = asked.launches - before;
        Bystander bystander;
        EXPECT_EQ(logits, run(plain_, step, &bystander));
        EXPECT_TRUE(std::ranges::any_of(logits, [](float logit) { return logit != 0; }));
        return launches;
    }

private:
    static std::vector<float> run(SmallModel& model, const Step& step, StepObserver* observer) {
        const View logits = model.decoder().run(step, model.cache(), observer);
        model.sums().wait();
        std::vector<float> values(static_cast<std::size_t>(logits.shape.elements()));
        model.ops().download(logits.data, values.data(), values.size() * sizeof(float));
        return values;
    }

    SmallModel replayed_, plain_;
};

const SmallModelOptions kOptions = {
    .family = Family::Cuda, .rows = 12, .logit_rows = 12, .pages = 60, .links = link_by_stream};

class CudaReplay : public testing::TestWithParam<std::tuple<const char*, int>> {
protected:
    static void on_ranks(const std::function<void(Models&)>& work) {
        run_on_threads(std::get<1>(GetParam()), [&](Communicator& ranks) {
            Models models(std::get<0>(GetParam()), kOptions, ranks);
            work(models);
        });
    }
};

// Contexts pass pages and the first rung, batches grow and shrink, and prompts come between.
TEST_P(CudaReplay, ChangesNoBit) {
    on_ranks([](Models& models) {
        std::vector<Sequence> some = {{0, 2}, {1, 62, 3}, {2, 509}}, one = {{3, 7}},
                              long_one = {{4, 600, 500}};
        const std::uint64_t before = asked.replays;
        for (int i = 0; i < 7; ++i)
            models.compare(some, 1);  // four rows; from the fourth on of another context
        models.compare(one, 4);       // a prompt
        some.push_back(one.front());
        for (int i = 0; i < 2; ++i) models.compare(some, 1);  // no row is added
        models.compare(long_one, 1);                          // the inputs move to where there is more room
        models.compare(some, 1);
        some.resize(2);
        for (int i = 0; i < 3; ++i) models.compare(some, 1);
        EXPECT_EQ(asked.replays - before, 2U + 3U + 2U + 2U);
    });
}

TEST_P(CudaReplay, AsksForNothingOnceItIsRecorded) {
    on_ranks([](Models& models) {
        std::vector<Sequence> two = {{0, 9}, {1, 70}};
        const std::uint64_t plain = models.compare(two, 1), before = asked.replays;
        EXPECT_GT(plain, 0U);
        EXPECT_EQ(models.compare(two, 1), plain);  // recorded
        for (int i = 0; i < 2; ++i) EXPECT_EQ(models.compare(two, 1), 0U);
        EXPECT_EQ(asked.replays - before, 3U);
    });
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, CudaReplay,
                         testing::Values(std::tuple{"v3", 1}, std::tuple{"llama", 1}, std::tuple{"grok", 1},
                                         std::tuple{"v3", 4}, std::tuple{"llama", 2}),
                         [](const auto& param) {
                             return fmt::format("{}_on_{}", std::get<0>(param.param),
                                                std::get<1>(param.param));
                         });

TEST(CudaReplayOfRanks, SumsByWayOfTheHostAreNotRecorded) {
    run_on_threads(2, [](Communicator& ranks) {
        SmallModelOptions options = kOptions;
        options.links = nullptr;
        Models models("v3", options, ranks);
        std::vector<Sequence> two = {{0, 9}, {1, 70}};
        const std::uint64_t before = asked.replays;
        for (int i = 0; i < 3; ++i) EXPECT_GT(models.compare(two, 1), 0U);
        EXPECT_EQ(asked.replays, before);
    });
}

// Or else its device would meet the others' in calls of its own.
TEST(CudaReplayOfRanks, WhatOneDoesByOperationNoneReplays) {
    run_on_threads(2, [](Communicator& ranks) {
        SmallModel model("v3", kOptions, ranks);
        Sampler sampler(model.ops(), model.sums(), ranks, model.decoder().shard(), model.config().vocab,
                        model.decoder().vocabulary_slices());
        Engine engine(model.decoder(), model.cache(), sampler, ranks);
        const std::uint64_t before = asked.replays;
        if (ranks.rank() == 0) {
            std::vector<Sequence> two = {{0, 9}, {1, 70}};
            const auto steps = [&](int count) {
                for (int i = 0; i < count; ++i) {
                    StepPlan plan;
                    plan.step = step_of(two, 1, model.config());
                    plan.samples.resize(2);
                    engine.run(plan);
                }
            };
            steps(3);
            engine.run_by_operation(true);
            steps(2);
            engine.run_by_operation(false);
            steps(1);
            engine.stop();
        } else {
            engine.follow();
        }
        EXPECT_EQ(asked.replays - before, 2U + 1U) << "on rank " << ranks.rank();
    });
}

TEST(CudaReplayOfRanks, ScratchMemoryThatMovesOnOneIsAnError) {
    const auto work = [](Communicator& ranks) {
        SmallModel model("v3", kOptions, ranks);
        if (ranks.rank() == 1) model.ops().claim_workspace(std::size_t{1} << 24);
        std::vector<Sequence> one = {{0, 9}};
        model.decoder().run(step_of(one, 1, model.config()), model.cache());
        model.sums().wait();
    };
    try {
        run_on_threads(2, work);
        FAIL() << "it would record other steps than rank 0";
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("scratch memory"));
    }
}

}  // namespace
}  // namespace sluice::test
