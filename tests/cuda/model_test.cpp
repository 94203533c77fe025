// The one decoder on a GPU, emulated or true: whole small models against the reference, and a job against
// itself.
#include "backend/devices.hpp"
#include "core/error.hpp"
#include "cuda/host_links.hpp"
#include "engine/generation.hpp"
#include "engine/memory_plan.hpp"
#include "kernels/cuda/weight.hpp"
#include "kernels/kernel.hpp"
#include "model/comparison.hpp"
#include "model/op_workspace.hpp"
#include "model/quantised_rows.hpp"
#include "support/small_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace sluice::test {
namespace {

using kernels::Family;

template <class Args>
bool has_cuda() {
    return std::ranges::any_of(kernels::kernels<Args>(),
                               [](const auto& kernel) { return kernel.family == Family::Cuda; });
}

class CudaModel : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        if (const std::string missing = cuda_obstacle(0); !missing.empty()) GTEST_SKIP() << missing;
        if (!has_cuda<kernels::PackArgs>() || !has_cuda<kernels::ProductArgs>() ||
            !has_cuda<kernels::AttentionArgs>() || !has_cuda<kernels::VocabArgs>())
            GTEST_SKIP() << "pack, product, attention or vocab has no kernel of the family";
    }
    static std::vector<std::int32_t> text_of(const ModelConfig& config, int length) {
        std::vector<std::int32_t> text;
        for (int i = 0; i < length; ++i) text.push_back((i * i * 7 + 11 * i + 5) % config.vocab);
        if (config.masked_token) text[static_cast<std::size_t>(length / 3)] = *config.masked_token;
        return text;
    }
};

// The bound is that of fast_backend_test.cpp, for random weights: this family rounds what the processor's
// does.
TEST_P(CudaModel, StaysWithinBf16RoundingOfTheReference) {
    const auto ranks = make_self();
    SmallModel gpu(GetParam(), {.family = Family::Cuda, .rows = 80, .logit_rows = 80}, *ranks);
    SmallModel reference(GetParam(), {.family = Family::Reference, .kv_dtype = DType::F32}, *ranks);
    Difference total;
    for (const int length : {1, 9, 72}) {
        const std::vector<std::int32_t> ids = text_of(gpu.config(), length);
        Choices mine;
        Choices true_choices;
        const std::vector<float> a = gpu.logits(ids, 0, &mine);
        const std::vector<float> b = reference.logits(ids, 0, &true_choices);
        const auto same =
            static_cast<std::size_t>(first_flip(mine, true_choices, length) * gpu.config().vocab);
        compare(std::span(a).first(same), std::span(b).first(same), total);
    }
    ASSERT_GE(total.values, 10 * gpu.config().vocab) << "too little was compared";
    const double layers = static_cast<double>(gpu.config().layers.size());
    const double rms_logit = std::sqrt(total.logit_squares / static_cast<double>(total.values));
    const double sigma = 0x1p-9 / std::sqrt(3.0) * std::sqrt(10 * layers + 1) * rms_logit;
    const double rms = std::sqrt(total.squares / static_cast<double>(total.values));
    EXPECT_GT(rms, 0) << "it cannot be exact: it rounds";
    EXPECT_LT(rms, 1.2 * sigma);
    EXPECT_LT(total.largest, 8 * 1.2 * sigma);
}

TEST_P(CudaModel, ARowsBitsDependOnItsOwnTextAlone) {
    const auto ranks = make_self();
    for (const DType kv_dtype : {DType::BF16, DType::F8E4M3}) {
        SmallModel gpu(GetParam(),
                       {.family = Family::Cuda, .kv_dtype = kv_dtype, .rows = 80, .logit_rows = 80}, *ranks);
        const std::vector<std::int32_t> ids = text_of(gpu.config(), 70);
        const std::vector<float> whole = gpu.logits(ids);
        EXPECT_EQ(gpu.logits(ids, 33), whole) << name_of(kv_dtype);
        const std::span<const std::int32_t> beginning = std::span(ids).first(3);
        std::vector<float> first(whole.begin(), whole.begin() + 3 * gpu.config().vocab);
        EXPECT_EQ(gpu.logits(beginning, 1), first) << name_of(kv_dtype);
    }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, CudaModel, testing::Values("v3", "v2", "llama", "llama-biased", "grok"),
                         [](const auto& param) {
                             std::string name = param.param;
                             std::ranges::replace(name, '-', '_');
                             return name;
                         });

// Weights go to the device, and what is read for them to the host.
TEST_P(CudaModel, ThePlanAsksBothMemories) {
    const auto checkpoint = open_sluice_checkpoint(built_checkpoint(GetParam()));
    const Shard shard{0, 1, checkpoint->slices()};
    const Ops ops(Family::Cuda, 1);
    const WeightBytes claimed =
        load_weights(*checkpoint, shard, ops, Products::Bf16, [](const LoadProgress&) {}).bytes;
    MemoryRequest request;
    request.family = Family::Cuda;
    request.router = router_type(*checkpoint);
    request.limits = {16, 16, 64};
    request.sequences = 1;
    request.available = claimed.all +
                        workspace_bytes(checkpoint->config(), shard, request.limits, Family::Cuda) +
                        2 * kv_page_bytes(checkpoint->config(), shard, DType::BF16);
    request.host_available = claimed.staging;
    EXPECT_EQ(plan_memory(checkpoint->config(), shard, request).weights, claimed.all);
    --request.host_available;
    EXPECT_THROW(plan_memory(checkpoint->config(), shard, request), Error);
}

TEST_P(CudaModel, OperationsNeedNoMoreWorkspaceThanWasPlanned) {
    const auto ranks = make_self();
    SmallModel gpu(GetParam(), {.family = Family::Cuda, .rows = 80, .logit_rows = 80, .positions = 128},
                   *ranks);
    const Shard shard{0, 1, gpu.checkpoint().slices()};
    const std::size_t planned = op_workspace_bytes(gpu.config(), shard, {80, 80, 128}, Family::Cuda);
    const void* const claimed = gpu.ops().workspace();
    for (const int rows : {1, 7, 40, 80}) {
        gpu.logits(text_of(gpu.config(), rows));
        EXPECT_GT(gpu.ops().workspace_bytes(), 0U);
        EXPECT_LE(gpu.ops().workspace_bytes(), planned) << rows << " rows";
    }
    EXPECT_EQ(gpu.ops().workspace_bytes(), planned) << "no more than the largest step";
    EXPECT_EQ(gpu.ops().workspace(), claimed) << "once";
}

class CudaJob : public CudaModel {};

TEST_P(CudaJob, WeightsLieSideBySideInOneClaim) {
    const auto checkpoint = open_sluice_checkpoint(built_checkpoint(GetParam()));
    const Ops ops(Family::Cuda, 1);
    const Weights weights = load_weights(*checkpoint, {0, 1, checkpoint->slices()}, ops, Products::Bf16,
                                         [](const LoadProgress&) {});
    const auto at = [](const Packed& weight) {
        return dynamic_cast<const kernels::cuda::CudaWeight&>(*weight).memory.get();
    };
    const Packed& first = std::get<MlaWeights>(weights.layers.front().attention).entry;
    EXPECT_EQ(at(weights.head) + weights.head->bytes - at(first),
              static_cast<std::ptrdiff_t>(weights.bytes.packed));
}

// Also where tensor cores multiply codes and keep few bits of their sums.
TEST_P(CudaJob, RowsOfFp8AreQuantisedAsTheReferenceDoes) {
    expect_rows_quantised_as_the_reference_does({.family = Family::Cuda, .rows = 80, .logit_rows = 80}, 32);
}

// Sampling, filters that reach beyond the candidates, penalties, log-probabilities and sums over ranks.
TEST_P(CudaJob, AnswersDependOnTheRequestAlone) {
    std::vector<Request> requests;
    Sampling sampling;
    sampling.max_new_tokens = 4;
    sampling.logprobs = 2;
    sampling.temperature = 0;
    requests.push_back(text_request("greedy", "The first", sampling));
    sampling.temperature = 1;
    sampling.repetition_penalty = 1.3F;
    requests.push_back(text_request("penalised", "And the second one", sampling));
    sampling.top_p = 0.999F;
    sampling.temperature = 50;
    requests.push_back(text_request("flat", "The third", sampling));
    RunSettings settings;
    settings.checkpoint = GetParam();
    settings.family = Family::Cuda;
    settings.pages = 16;
    const std::string together = transcript(run_requests(settings, requests));
    settings.policy = {1, 5, 5, true};
    EXPECT_EQ(transcript(run_requests(settings, requests)), together);
    settings.policy = {3, 32, 16, true};
    settings.ranks = 2;
    settings.links = link_by_host;
    EXPECT_EQ(transcript(run_requests(settings, requests)), together);
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, CudaJob, testing::Values("v3"), [](const auto&) { return "v3"; });

}  // namespace
}  // namespace sluice::test
