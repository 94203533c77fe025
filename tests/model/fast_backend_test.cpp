// The fast CPU backend against the reference backend on the same weights, and against the goldens.
//
// The bound. The two differ by what the fast path rounds: activations to bfloat16 on entering each product
// (unit roundoff u = 2^-9), and keys on entering the cache. Roundings are independent, so their effects
// add as squares: after P products in a row the relative error of a normed state is at most about
//     sigma = u / sqrt(3) * sqrt(P)
// and a logit, a sum over that state, moves by that share of the logits' own size. P is 7 products and the
// cache in each layer, and the head: 8 L + 1. (The level avx512_bf16 rounds queries and softmax weights too,
// which would be 10 L + 1; it is held to the same bound as the others.) Residual connections dilute a layer's
// share of the stream, so the root mean square over positions and vocabulary must stay below sigma / 2 times
// the logits' root mean square, and a single logit below 4 sigma (500,000 normal draws reach 5 standard
// deviations). Positions after a router chose otherwise than the reference did are not compared: there, a
// jump is right.
//
// Random weights dilute nothing: their blocks are most of the stream, and a gated product passes on its
// input's error twice. The same roundings, put into an independent float32 implementation of the models
// below, move the logits by 0.61 sigma (mixtral) and 0.98 sigma (llama-biased), and single logits by 5.8
// sigma; hence a share of 1.2 instead of 1/2, and again eight times that for a single logit.
#include "core/random.hpp"
#include "model/comparison.hpp"
#include "model/quantised_rows.hpp"
#include "support/goldens.hpp"
#include "support/small_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace sluice::test {
namespace {

struct Case {
    const char* name;
    const char* checkpoint;
    const char* golden = nullptr;  // none: a model with random weights
    const char* suffix = "";       // of Grok's goldens
    double share = 0.5;            // of sigma, see above
};

// Random ids' lengths: over several pages and fewer; and many short ones, for a router's choice that rounding
// changes ends the comparison of its own text alone.
std::vector<int> lengths_of_texts() {
    std::vector<int> lengths = {1, 64, 65, 200};
    lengths.insert(lengths.end(), 32, 12);
    return lengths;
}

// The goldens' prompts; or random ids, with a hidden token where there is one.
std::vector<std::vector<std::int32_t>> texts_for(const Case& model, const ModelConfig& config) {
    std::vector<std::vector<std::int32_t>> texts;
    if (model.golden != nullptr) {
        for (GoldenPrompt& prompt : read_goldens(model.golden, model.suffix).prompts)
            texts.push_back(std::move(prompt.ids.values));
        return texts;
    }
    for (const int length : lengths_of_texts()) {
        const std::size_t number = texts.size();
        std::vector<std::int32_t>& text = texts.emplace_back();
        for (int i = 0; i < length; ++i) {
            const std::uint64_t draw = mix64(1000 * number + static_cast<std::uint64_t>(i));
            text.push_back(static_cast<std::int32_t>(draw % static_cast<std::uint64_t>(config.vocab)));
        }
        if (config.masked_token) text[static_cast<std::size_t>(length / 3)] = *config.masked_token;
    }
    return texts;
}

class FastBackend : public testing::TestWithParam<Case> {};
class FastBackendOnGoldens : public testing::TestWithParam<Case> {};

TEST_P(FastBackend, StaysWithinBf16RoundingOfTheReference) {
    const auto ranks = make_self();
    SmallModel fast(GetParam().checkpoint, {.threads = 2}, *ranks);
    SmallModel reference(GetParam().checkpoint,
                         {.family = kernels::Family::Reference, .kv_dtype = DType::F32}, *ranks);
    const std::int64_t vocab = fast.config().vocab;
    Difference total;
    for (const std::vector<std::int32_t>& ids : texts_for(GetParam(), fast.config())) {
        Choices mine;
        Choices true_choices;
        const std::vector<float> a = fast.logits(ids, 0, &mine);
        const std::vector<float> b = reference.logits(ids, 0, &true_choices);
        const auto same = static_cast<std::size_t>(
            first_flip(mine, true_choices, static_cast<std::int64_t>(ids.size())) * vocab);
        compare(std::span(a).first(same), std::span(b).first(same), total);
    }
    const double layers = static_cast<double>(fast.config().layers.size());
    const double rms_logit = std::sqrt(total.logit_squares / static_cast<double>(total.values));
    const double sigma = 0x1p-9 / std::sqrt(3.0) * std::sqrt(8 * layers + 1) * rms_logit;
    const double rms = std::sqrt(total.squares / static_cast<double>(total.values));
    RecordProperty("positions", std::to_string(total.values / vocab));
    RecordProperty("rms_over_sigma", std::to_string(rms / sigma));
    RecordProperty("largest_over_sigma", std::to_string(total.largest / sigma));
    EXPECT_GT(total.values, 150 * vocab) << "too little was compared";
    EXPECT_GT(rms, 0) << "the fast backend cannot be exact: it rounds";
    EXPECT_LT(rms, GetParam().share * sigma);
    EXPECT_LT(total.largest, 8 * GetParam().share * sigma);
}

struct Agreement {
    std::int64_t positions = 0, same_best = 0;
    double tokens = 0, nll = 0, golden_nll = 0;  // of the held-out text, where there is one
};

Agreement agreement_of(SmallModel& model, const Goldens& goldens) {
    Agreement result;
    const std::int64_t vocab = model.config().vocab;
    for (const GoldenPrompt& prompt : goldens.prompts) {
        const std::vector<float> logits = model.logits(prompt.ids.values);
        for (std::int64_t t = 0; t < prompt.ids.shape[0]; ++t) {
            const float* row = logits.data() + t * vocab;
            result.same_best += std::max_element(row, row + vocab) - row == prompt.top8_ids.row(t)[0] ? 1 : 0;
            ++result.positions;
        }
    }
    const GoldenText& text = goldens.perplexity;
    for (std::int64_t row = 0; !text.ids.empty() && row < text.ids.shape[0]; ++row) {
        const std::int32_t* ids = text.ids.row(row);
        const std::int64_t length = text.ids.shape[1] - 1;
        const std::vector<float> logits = model.logits({ids, static_cast<std::size_t>(length)});
        for (std::int64_t t = 0; t < length; ++t) {
            const float* begin = logits.data() + t * vocab;
            double sum = 0;
            for (std::int64_t id = 0; id < vocab; ++id) sum += std::exp(static_cast<double>(begin[id]));
            result.nll += std::log(sum) - begin[ids[t + 1]];
            result.golden_nll += text.token_nll.row(row)[t];
        }
    }
    result.tokens = static_cast<double>(text.token_nll.values.size());
    return result;
}

// Rounding flips a near-tie here and there, hence shares of positions; goldens are of unrounded weights.
TEST_P(FastBackendOnGoldens, AgreesWithTheGoldens) {
    const auto ranks = make_self();
    SmallModel model(GetParam().checkpoint, {.threads = 2}, *ranks);
    const Agreement found = agreement_of(model, read_goldens(GetParam().golden, GetParam().suffix));
    EXPECT_GE(static_cast<double>(found.same_best) / static_cast<double>(found.positions), 0.975);
    if (found.tokens > 0) {
        EXPECT_NEAR(std::exp((found.nll - found.golden_nll) / found.tokens), 1, 0.005);
    }
}

// Three bits of mantissa move keys and values by up to 2^-4. (Of these models, 95 to 98 % of the best tokens
// stay, and the perplexity rises by up to 0.3 %.)
TEST_P(FastBackendOnGoldens, AgreesWithTheGoldensWithAnFp8Cache) {
    const auto ranks = make_self();
    SmallModel model(GetParam().checkpoint, {.kv_dtype = DType::F8E4M3, .threads = 2}, *ranks);
    const Agreement found = agreement_of(model, read_goldens(GetParam().golden, GetParam().suffix));
    EXPECT_GE(static_cast<double>(found.same_best) / static_cast<double>(found.positions), 0.93);
    if (found.tokens > 0) {
        EXPECT_NEAR(std::exp((found.nll - found.golden_nll) / found.tokens), 1, 0.01);
    }
}

std::string name_of_case(const testing::TestParamInfo<Case>& info) { return info.param.name; }

constexpr Case with_random_weights(const char* name, const char* checkpoint) {
    return {.name = name, .checkpoint = checkpoint, .share = 1.2};
}

constexpr Case kTrained[] = {
    {"v3_fp8", "v3", "deepseek-v3-tiny"},         {"v3_bf16", "v3-bf16", "deepseek-v3-tiny"},
    {"v2_bf16", "v2", "deepseek-v2-tiny"},        {"llama_bf16", "llama", "llama-tiny"},
    {"grok_int8", "grok", "grok-tiny", "_f32dq"}, {"grok_bf16", "grok-bf16", "grok-tiny"}};
INSTANTIATE_TEST_SUITE_P(Checkpoints, FastBackend, testing::ValuesIn(kTrained), name_of_case);
INSTANTIATE_TEST_SUITE_P(Checkpoints, FastBackendOnGoldens, testing::ValuesIn(kTrained), name_of_case);
constexpr Case kRandom[] = {
    with_random_weights("mixtral_bf16", "mixtral"), with_random_weights("mixtral_fp8", "mixtral-fp8"),
    with_random_weights("llama_biased_tied", "llama-biased"), with_random_weights("grok_wide", "grok-wide")};
INSTANTIATE_TEST_SUITE_P(RandomWeights, FastBackend, testing::ValuesIn(kRandom), name_of_case);

TEST(Fp8Activations, AgreeWithTheGoldens) {
    const auto ranks = make_self();
    SmallModel model("v3-1-slice", {.gemm = Products::Fp8, .threads = 2}, *ranks);
    const Agreement found = agreement_of(model, read_goldens("deepseek-v3-tiny"));
    EXPECT_GE(static_cast<double>(found.same_best) / static_cast<double>(found.positions), 0.93);
    EXPECT_NEAR(std::exp((found.nll - found.golden_nll) / found.tokens), 1, 0.005);
}

TEST(Fp8Activations, AreQuantisedAsTheReferenceDoes) {
    expect_rows_quantised_as_the_reference_does({.kv_dtype = DType::F32, .threads = 2}, 300);
}

}  // namespace
}  // namespace sluice::test
