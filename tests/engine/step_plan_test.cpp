#include "engine/step_plan.hpp"

#include "core/error.hpp"

#include <gtest/gtest.h>

#include <random>
#include <tuple>
#include <vector>

namespace sluice {
namespace {

class Plans {
public:
    explicit Plans(unsigned seed) : random_(seed) {}

    StepPlan next() {
        StepPlan plan;
        plan.stop = number() % 4 == 0;
        for (std::vector<std::int32_t>* list : {&plan.step.tokens, &plan.step.positions, &plan.step.slots,
                                                &plan.step.pages, &plan.step.masked, &plan.step.logit_rows})
            *list = numbers();
        plan.step.sequences.resize(length());
        for (StepSequence& sequence : plan.step.sequences)
            sequence = {number(), number(), number(), number(), number(), number()};
        plan.step.by_operation = number() % 2 == 0;
        plan.samples.resize(length());
        for (SampleRow& sample : plan.samples) {
            sample.choice = {share(), share(), share(), share(), number(), random_()};
            sample.seen = numbers();
            sample.logprobs = number();
            sample.target = number();
        }
        return plan;
    }

private:
    std::int32_t number() { return static_cast<std::int32_t>(random_()); }
    float share() { return std::uniform_real_distribution<float>(0, 2)(random_); }
    std::size_t length() { return random_() % 3 == 0 ? 0 : random_() % 12; }
    std::vector<std::int32_t> numbers() {
        std::vector<std::int32_t> list(length());
        for (std::int32_t& value : list) value = number();
        return list;
    }

    std::mt19937_64 random_;
};

void expect_equal(const StepPlan& a, const StepPlan& b) {
    EXPECT_EQ(a.stop, b.stop);
    EXPECT_EQ(a.step.tokens, b.step.tokens);
    EXPECT_EQ(a.step.positions, b.step.positions);
    EXPECT_EQ(a.step.slots, b.step.slots);
    EXPECT_EQ(a.step.pages, b.step.pages);
    EXPECT_EQ(a.step.masked, b.step.masked);
    EXPECT_EQ(a.step.logit_rows, b.step.logit_rows);
    EXPECT_EQ(a.step.by_operation, b.step.by_operation);
    const auto all_of = [](const StepSequence& s) {
        return std::tuple(s.first_row, s.rows, s.context, s.first_page, s.first_masked, s.masked);
    };
    ASSERT_EQ(a.step.sequences.size(), b.step.sequences.size());
    for (std::size_t i = 0; i < a.step.sequences.size(); ++i)
        EXPECT_EQ(all_of(a.step.sequences[i]), all_of(b.step.sequences[i]));
    const auto wishes_of = [](const Choice& c) {
        return std::tuple(c.temperature, c.top_p, c.min_p, c.repetition_penalty, c.top_k, c.draw_key);
    };
    ASSERT_EQ(a.samples.size(), b.samples.size());
    for (std::size_t i = 0; i < a.samples.size(); ++i) {
        EXPECT_EQ(wishes_of(a.samples[i].choice), wishes_of(b.samples[i].choice));
        EXPECT_EQ(a.samples[i].seen, b.samples[i].seen);
        EXPECT_EQ(a.samples[i].logprobs, b.samples[i].logprobs);
        EXPECT_EQ(a.samples[i].target, b.samples[i].target);
    }
}

// The Error that reading the bytes ends with; any other exception fails the test.
std::string refusal(std::span<const std::byte> bytes) {
    try {
        (void)plan_from_bytes(bytes);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::Internal);
        return error.what();
    }
    return {};
}

TEST(StepPlan, ArrivesAsItWasSent) {
    Plans plans(1);
    for (int i = 0; i < 200; ++i) {
        const StepPlan plan = plans.next();
        expect_equal(plan_from_bytes(to_bytes(plan)), plan);
    }
    expect_equal(plan_from_bytes(to_bytes({})), {});
}

TEST(StepPlan, CutShortAnywhereIsRefused) {
    Plans plans(2);
    for (int i = 0; i < 20; ++i) {
        const std::vector<std::byte> bytes = to_bytes(plans.next());
        for (std::size_t length = 0; length < bytes.size(); ++length) {
            // A copy of its own, so that a memory checker sees a read beyond the end.
            const std::vector<std::byte> part(bytes.begin(),
                                              bytes.begin() + static_cast<std::ptrdiff_t>(length));
            ASSERT_NE(refusal(part), "") << length << " of " << bytes.size();
        }
    }
}

TEST(StepPlan, BytesLeftOverAreRefused) {
    std::vector<std::byte> bytes = to_bytes(Plans(3).next());
    bytes.push_back(std::byte{0});
    EXPECT_NE(refusal(bytes).find("left over"), std::string::npos);
}

}  // namespace
}  // namespace sluice
