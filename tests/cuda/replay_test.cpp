// Whole models on the emulated GPU, whose decode steps are replayed: the same bits as without, and without
// the decoder's doing.
#include "cuda/emulation/stream.hpp"
#include "support/small_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
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

class CudaReplay : public testing::TestWithParam<const char*> {
protected:
    const SmallModelOptions options_ = {.family = Family::Cuda, .rows = 12, .logit_rows = 12, .pages = 60};

    std::vector<float> run(SmallModel& model, const Step& step, StepObserver* observer) {
        const View logits = model.decoder().run(step, model.cache(), observer);
        std::vector<float> values(static_cast<std::size_t>(logits.shape.elements()));
        model.ops().download(logits.data, values.data(), values.size() * sizeof(float));
        return values;
    }
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

    std::unique_ptr<Communicator> ranks_ = make_self();
    SmallModel replayed_{GetParam(), options_, *ranks_}, plain_{GetParam(), options_, *ranks_};
};

// Contexts pass pages and the first rung, batches grow and shrink, and prompts come between.
TEST_P(CudaReplay, ChangesNoBit) {
    std::vector<Sequence> some = {{0, 2}, {1, 62, 3}, {2, 509}}, one = {{3, 7}}, long_one = {{4, 600, 500}};
    const std::uint64_t before = asked.replays;
    for (int i = 0; i < 7; ++i) compare(some, 1);  // four rows; from the fourth on of another context
    compare(one, 4);                               // a prompt
    some.push_back(one.front());
    for (int i = 0; i < 2; ++i) compare(some, 1);  // no row is added
    compare(long_one, 1);                          // the inputs move to where there is more room
    compare(some, 1);
    some.resize(2);
    for (int i = 0; i < 3; ++i) compare(some, 1);
    EXPECT_EQ(asked.replays - before, 2U + 3U + 2U + 2U);
}

TEST_P(CudaReplay, AsksForNothingOnceItIsRecorded) {
    std::vector<Sequence> two = {{0, 9}, {1, 70}};
    const std::uint64_t plain = compare(two, 1), before = asked.replays;
    EXPECT_GT(plain, 0U);
    EXPECT_EQ(compare(two, 1), plain);  // recorded
    for (int i = 0; i < 2; ++i) EXPECT_EQ(compare(two, 1), 0U);
    EXPECT_EQ(asked.replays - before, 3U);
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, CudaReplay, testing::Values("v3", "llama", "grok"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace sluice::test
