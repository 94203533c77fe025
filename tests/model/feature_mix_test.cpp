// Families that nobody published: the decoder knows features, so any mix of them must run, fast as in the
// reference, and with the same bits on any number of ranks.
#include "comm/communicator.hpp"
#include "core/random.hpp"
#include "kernels/kernel.hpp"
#include "model/comparison.hpp"
#include "model/made_up_checkpoint.hpp"
#include "support/small_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <mutex>

namespace sluice::test {
namespace {

ModelConfig plain_config() {
    ModelConfig config;
    config.family = "made up";
    config.vocab = 200;
    config.dim = 72;
    config.max_length = 256;
    config.rope.dim = 16;
    config.rope.interleaved = false;
    config.attention_scale = 0.25F;
    return config;
}

constexpr GqaSpec kGqa{16, 8, 16, false, false};
constexpr GqaSpec kBiased{8, 8, 16, true, true};
constexpr MlaSpec kMla{8, 24, 32, 8, 16, 24};

MoeSpec sigmoid_mixture() {
    MoeSpec moe;
    moe.router = {RouterSpec::Score::Sigmoid, 16, 3, 4, 2, true, 1.5F};
    moe.router_bias = true;
    moe.hidden = 40;
    return moe;
}

struct Mix {
    const char* name;
    ModelConfig config;
};

std::vector<Mix> mixes() {
    std::vector<Mix> all;
    ModelConfig sandwich = plain_config();
    sandwich.post_norms = true;
    sandwich.layers.assign(2, {kGqa, sigmoid_mixture()});
    all.push_back({"gqa_sigmoid_router_sandwich_norms", sandwich});

    ModelConfig capped = plain_config();
    capped.attention_softcap = 5;
    capped.embedding_scale = 3;
    capped.logit_scale = 0.3F;
    capped.tied_head = true;
    capped.post_norms = true;
    capped.masked_token = 7;
    capped.activation = Activation::GeluTanh;
    capped.layers = {{kMla, DenseSpec{96}}, {kMla, sigmoid_mixture()}};
    all.push_back({"mla_softcap_scales_tied_masked", capped});

    ModelConfig mixed = plain_config();
    MoeSpec shared = sigmoid_mixture();
    shared.shared_hidden = 56;
    mixed.layers = {{kBiased, DenseSpec{96}}, {kMla, shared}, {kGqa, DenseSpec{64}}};
    all.push_back({"biases_and_both_attentions", mixed});

    ModelConfig int8 = mixed;
    int8.quantization.dtype = DType::I8;
    int8.quantization.groups = 4;
    all.push_back({"int8", int8});

    ModelConfig fp8 = sandwich;
    fp8.quantization = {DType::F8E4M3, 32, 32};
    all.push_back({"fp8_in_blocks_of_32", fp8});
    return all;
}

// Longer than a page, with the masked token inside.
std::vector<std::int32_t> text(int length = 90) {
    std::vector<std::int32_t> ids;
    for (int i = 0; i < length; ++i) ids.push_back(i % 11 == 4 ? 7 : (i * 37 + 5) % 200);
    return ids;
}

// The text; and as many positions in short ones, for a router's choice that rounding changes ends the
// comparison of its own text alone. (Of many more positions, the largest difference would lie further out.)
std::vector<std::vector<std::int32_t>> texts() {
    constexpr int kShort = 15, kLength = 6;
    std::vector<std::vector<std::int32_t>> all = {text()};
    for (int number = 0; number < kShort; ++number) {
        std::vector<std::int32_t>& ids = all.emplace_back();
        for (int i = 0; i < kLength; ++i)
            ids.push_back(
                static_cast<std::int32_t>(mix64(static_cast<std::uint64_t>(number * kLength + i)) % 200));
    }
    return all;
}

constexpr int kSlices = 8;

class FeatureMix : public testing::TestWithParam<Mix> {
protected:
    static SmallModel model(kernels::Family family, Communicator& ranks) {
        const bool exact = family == kernels::Family::Reference;
        return {made_up_checkpoint(GetParam().config, kSlices),
                {.family = family,
                 .kv_dtype = exact ? DType::F32 : DType::BF16,
                 .rows = 150,
                 .logit_rows = 150,
                 .positions = 192,
                 .pages = 4},
                ranks};
    }
    // Of a text longer than a block of rows.
    static std::vector<float> run(Communicator& ranks, int chunk = 0) {
        return model(kernels::Family::Cpu, ranks).logits(text(150), chunk);
    }
    // The roundings in a row: fast_backend_test.cpp's 8 a layer, and the head. The attention of avx512_bf16
    // rounds its queries and softmax weights too.
    static double roundings() {
        const bool in_attention = kernels::level_of(kernels::this_machine()) == "avx512_bf16";
        return static_cast<double>(GetParam().config.layers.size()) * (in_attention ? 10 : 8) + 1;
    }
};

// The sigma of fast_backend_test.cpp. Random layers add as much to the residual stream as is there, so
// nothing is diluted, and a gated block, quadratic in its input, doubles the input's relative error: hence 2
// sigma, and four times that for a single logit.
TEST_P(FeatureMix, FastAsInTheReference) {
    const auto self = make_self();
    const std::int64_t vocab = GetParam().config.vocab;
    SmallModel fast = model(kernels::Family::Cpu, *self);
    SmallModel reference = model(kernels::Family::Reference, *self);
    Difference total;
    for (const std::vector<std::int32_t>& ids : texts()) {
        Choices mine;
        Choices true_choices;
        const std::vector<float> a = fast.logits(ids, 0, &mine);
        const std::vector<float> b = reference.logits(ids, 0, &true_choices);
        const auto same = static_cast<std::size_t>(
            first_flip(mine, true_choices, static_cast<std::int64_t>(ids.size())) * vocab);
        compare(std::span(a).first(same), std::span(b).first(same), total);
    }
    RecordProperty("positions", std::to_string(total.values / vocab));
    ASSERT_GE(total.values, 45 * vocab) << "too little was compared";
    const auto count = static_cast<double>(total.values);
    const double sigma =
        0x1p-9 / std::sqrt(3.0) * std::sqrt(roundings()) * std::sqrt(total.logit_squares / count);
    const double rms = std::sqrt(total.squares / count);
    RecordProperty("rms_over_sigma", std::to_string(rms / sigma));
    RecordProperty("largest_over_sigma", std::to_string(total.largest / sigma));
    EXPECT_GT(rms, 0) << "the fast backend cannot be exact: it rounds";
    EXPECT_LT(rms, 2 * sigma);
    EXPECT_LT(total.largest, 8 * sigma);
}

TEST_P(FeatureMix, SameBitsOnAnyRanksAndInAnyChunks) {
    const auto self = make_self();
    const std::vector<float> expected = run(*self);
    EXPECT_EQ(run(*self, 1), expected);
    EXPECT_EQ(run(*self, 13), expected);
    const std::int64_t vocab = GetParam().config.vocab;
    for (const int count : {2, 4, 8}) {
        SCOPED_TRACE(count);
        std::vector<float> joined(expected.size());
        std::mutex writing;
        run_on_threads(count, [&](Communicator& ranks) {
            const std::vector<float> part = run(ranks, 31);
            const Shard shard{ranks.rank(), ranks.size(), kSlices};
            const Range columns = shard.range(vocab);
            const std::scoped_lock lock(writing);
            for (std::size_t row = 0; row < joined.size() / static_cast<std::size_t>(vocab); ++row) {
                std::copy_n(part.begin() + static_cast<std::ptrdiff_t>(row) * columns.size(), columns.size(),
                            joined.begin() + static_cast<std::ptrdiff_t>(row) * vocab + columns.begin);
            }
        });
        EXPECT_EQ(joined, expected);
    }
}

INSTANTIATE_TEST_SUITE_P(MadeUp, FeatureMix, testing::ValuesIn(mixes()),
                         [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace sluice::test
