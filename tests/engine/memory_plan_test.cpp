#include "engine/memory_plan.hpp"

#include "backend/available_memory.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "core/json.hpp"
#include "core/units.hpp"
#include "kernels/workspace.hpp"
#include "model/kv_cache.hpp"
#include "model/op_workspace.hpp"
#include "model/weights.hpp"
#include "support/scratch_folder.hpp"
#include "support/small_model.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

namespace sluice::test {
namespace {

struct Held {
    const char* checkpoint;
    int ranks;
};

class Claimed : public testing::TestWithParam<Held> {};

// To the byte: panels of 16 outputs, pairs of inputs, scales, routers, the tied embedding, kv_b's halves.
TEST_P(Claimed, WeightsAreWhatIsPlanned) {
    const auto [name, ranks] = GetParam();
    for (const auto family : {kernels::Family::Cpu, kernels::Family::Reference}) {
        const Ops ops(family, 1);
        for (int rank = 0; rank < ranks; ++rank) {
            const auto checkpoint = open_sluice_checkpoint(built_checkpoint(name));
            const Shard shard{rank, ranks, checkpoint->slices()};
            const WeightBytes claimed =
                load_weights(*checkpoint, shard, ops, Products::Bf16, [](const LoadProgress&) {}).bytes;
            const WeightBytes planned =
                weight_bytes(checkpoint->config(), shard, router_type(*checkpoint), family);
            EXPECT_EQ(planned.all, claimed.all) << "rank " << rank;
            EXPECT_EQ(planned.packed, claimed.packed) << "rank " << rank;
            EXPECT_EQ(planned.experts, claimed.experts) << "rank " << rank;
            EXPECT_EQ(planned.embedding, claimed.embedding) << "rank " << rank;
            EXPECT_EQ(planned.staging, claimed.staging) << "rank " << rank;
        }
    }
}

TEST_P(Claimed, CacheIsWhatIsPlanned) {
    const auto [name, ranks] = GetParam();
    const ModelConfig config = open_sluice_checkpoint(built_checkpoint(name))->config();
    for (const DType dtype : {DType::BF16, DType::F32, DType::F8E4M3}) {
        const Shard shard{0, ranks, open_sluice_checkpoint(built_checkpoint(name))->slices()};
        const KvCache cache(host_memory(), config, shard, dtype, 3);
        std::uint64_t bytes = 0;
        for (std::size_t layer = 0; layer < config.layers.size(); ++layer) {
            const Shape shape = cache.layer(static_cast<int>(layer)).shape;
            bytes += static_cast<std::uint64_t>(shape.elements()) * size_of(dtype);
        }
        EXPECT_EQ(bytes, 3 * kv_page_bytes(config, shard, dtype));
    }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, Claimed,
                         testing::Values(Held{"v3", 1}, Held{"v3", 2}, Held{"v3", 4}, Held{"v3-1-slice", 1},
                                         Held{"v3-bf16", 1}, Held{"v3-bf16", 2}, Held{"v2", 1}, Held{"v2", 2},
                                         Held{"v2", 4}, Held{"llama", 1}, Held{"llama", 2}, Held{"grok", 1},
                                         Held{"grok", 2}, Held{"grok-bf16", 2}, Held{"grok-2host", 2},
                                         Held{"grok-hf", 1}, Held{"grok-order12", 1},
                                         Held{"grok-order12-bf16", 1}, Held{"wide", 1}, Held{"wide", 4},
                                         Held{"wide", 8}, Held{"wide-6-slices", 3}, Held{"wide-6-slices", 6}),
                         [](const auto& param) {
                             std::string name = param.param.checkpoint;
                             for (char& c : name) c = c == '-' ? '_' : c;
                             return name + "_" + std::to_string(param.param.ranks);
                         });

class PlanMemory : public testing::Test {
protected:
    PlanMemory() {
        const std::filesystem::path path =
            std::filesystem::path(SLUICE_TEST_DATA) / "models/deepseek-v3-tiny/config.json";
        config_ = parse_config(read_file(path, ExitCode::Checkpoint), path.string());
        request_.limits = {512, 16, 640};  // ten pages a sequence
        request_.sequences = 4;
        set_left(100 * kPage);
    }

    std::uint64_t held_by_weights() const {
        return weight_bytes(config_, shard_, DType::BF16, kernels::Family::Cpu).all;
    }
    std::uint64_t fixed() const {
        return held_by_weights() + workspace_bytes(config_, shard_, request_.limits);
    }
    // As much memory as leaves `bytes` for the cache.
    void set_left(std::uint64_t bytes) { request_.available = fixed() + bytes; }

    MemoryPlan plan(const std::string& kv_memory) {
        request_.kv_memory = kv_memory;
        return plan_memory(config_, shard_, request_);
    }
    // Sequences and rows, where the weights leave so much.
    std::pair<int, int> chosen(std::uint64_t left, BatchLimits given, bool all_logits) {
        request_.available = held_by_weights() + left;
        const BatchLimits batch = choose_batch(config_, shard_, request_, given, all_logits);
        return {batch.sequences, batch.rows};
    }
    void expect_refused(const std::string& kv_memory, ExitCode code,
                        std::initializer_list<std::string_view> parts) {
        SCOPED_TRACE("--kv-memory '" + kv_memory + "'");
        expect_error([&] { (void)plan(kv_memory); }, code, parts);
    }

    static constexpr std::uint64_t kPage = 64 * (64 + 16) * 4 * 2;  // tokens, latent width, layers, bfloat16
    ModelConfig config_;
    Shard shard_{1, 2, 4};
    MemoryRequest request_;
};

TEST_F(PlanMemory, APageHoldsTheLatentsOfAllLayers) {
    EXPECT_EQ(kv_page_bytes(config_, shard_, DType::BF16), kPage);
    EXPECT_EQ(kv_page_bytes(config_, shard_, DType::F32), 2 * kPage);
    const KvCache cache(host_memory(), config_, shard_, DType::BF16, 3);
    std::uint64_t bytes = 0;
    for (int layer = 0; layer < 4; ++layer)
        bytes += static_cast<std::uint64_t>(cache.layer(layer).shape.elements()) * 2;
    EXPECT_EQ(bytes, 3 * kPage);
}

// Gate and up are packed as one, and as much is read ahead.
TEST_F(PlanMemory, WhileLoadingHoldsWhatIsPackedTogether) {
    config_.vocab = 16;
    config_.quantization = {};
    config_.layers.front().feed_forward = DenseSpec{8192};
    set_left(1ULL << 30);
    const MemoryPlan planned = plan("");
    EXPECT_EQ(planned.staging,
              std::uint64_t{2} * 2 * 2 * (8192 / 2) * static_cast<std::uint64_t>(config_.dim));
    request_.limits.rows = 16;
    request_.available = planned.weights + planned.staging - 1;
    expect_refused("", ExitCode::Checkpoint,
                   {"while it is loaded", bytes_text(planned.weights), bytes_text(planned.staging)});
    config_.vocab = 1 << 17;
    config_.layers.front().feed_forward = DenseSpec{16};
    set_left(1ULL << 30);
    request_.router = DType::F32;  // then the embedding is, too
    EXPECT_EQ(plan("").staging, std::uint64_t{2} * 4 * (1 << 16) * static_cast<std::uint64_t>(config_.dim));
}

TEST_F(PlanMemory, SharesAreOfWhatIsLeft) {
    EXPECT_EQ(plan("80%").pages, 80);
    EXPECT_EQ(plan("100%").pages, 100);
    EXPECT_EQ(plan("12.5%").pages, 12);
    EXPECT_EQ(plan("80%").kv, 80 * kPage);
    EXPECT_EQ(plan("80%").weights + plan("80%").workspace, fixed());
    request_.kv_dtype = DType::F32;
    EXPECT_EQ(plan("80%").pages, 40);
    request_.kv_dtype = DType::F8E4M3;
    EXPECT_EQ(plan("80%").pages, 160);
}

TEST_F(PlanMemory, AmountsAreInWholePages) {
    EXPECT_EQ(plan("1MiB").pages, 25);
    EXPECT_EQ(plan("409600").pages, 10) << "exactly ten pages";
    set_left(64ULL << 30);
    EXPECT_EQ(plan("20GiB").pages, 524288);
    EXPECT_EQ(plan("20GiB").kv, 20ULL << 30);
}

TEST_F(PlanMemory, RefusesWhatIsNoShareOrAmount) {
    for (const char* share : {"0%", "101%", "100.1%", "-5%", "+5%", "%", " 80%", "80 %", "80%%", "0x50%",
                              "nan%", "inf%", "eighty%", "1e9%"})
        expect_refused(share, ExitCode::Usage, {"--kv-memory", share, "80%"});
    for (const char* amount : {"much", "-1GiB", "20 GiB", "20GiB%%x", "%80", "80percent", " "})
        expect_refused(amount, ExitCode::Usage, {"--kv-memory", amount});
}

TEST_F(PlanMemory, ByDefaultHoldsEverySequenceOrFourFifthsOfWhatIsLeft) {
    EXPECT_EQ(plan("").pages, 40) << "four sequences of ten pages";
    set_left(30 * kPage);
    EXPECT_EQ(plan("").pages, 24);
    request_.sequences = 1;
    EXPECT_EQ(plan("").pages, 10);
}

TEST_F(PlanMemory, RefusesWithTheSumWhatDoesNotFit) {
    const std::string weights = bytes_text(held_by_weights());
    const std::string workspace = bytes_text(workspace_bytes(config_, shard_, request_.limits));
    expect_refused(
        "20GiB", ExitCode::Checkpoint,
        {"does not fit", "weights " + weights, "workspace " + workspace, "KV cache 20.00 GiB",
         "524288 pages of 40.00 KiB", "on each rank", bytes_text(request_.available) + " is available",
         "1, 2 or 4", "--kv-memory", "--max-batch or --max-batch-tokens"});
    request_.available = 1 << 20;
    expect_refused("", ExitCode::Checkpoint, {"does not fit", "weights " + weights, "1.00 MiB is available"});
    expect_refused("80%", ExitCode::Checkpoint, {"does not fit"});
    request_.available = 0;
    expect_refused("", ExitCode::Checkpoint, {"does not fit", "0 B is available"});
}

TEST_F(PlanMemory, TheCacheHoldsOneSequenceAtLeast) {
    EXPECT_EQ(plan("10%").pages, 10);
    expect_refused("9.9%", ExitCode::Checkpoint,
                   {"one sequence of 640 tokens", "400.00 KiB", "9 pages of 40.00 KiB", "--max-seq-len"});
    expect_refused("1", ExitCode::Checkpoint, {"one sequence of 640 tokens", "0 pages"});
    request_.limits.positions = 641;
    set_left(100 * kPage);
    expect_refused("10%", ExitCode::Checkpoint, {"one sequence of 641 tokens", "440.00 KiB"});
    EXPECT_EQ(plan("11%").pages, 11);
}

TEST_F(PlanMemory, FitsToTheByte) {
    set_left(10 * kPage);
    EXPECT_EQ(plan("100%").pages, 10);
    EXPECT_EQ(plan("409600").pages, 10);
    --request_.available;
    expect_refused("409600", ExitCode::Checkpoint, {"does not fit"});
    expect_refused("100%", ExitCode::Checkpoint, {"one sequence"});
}

TEST_F(PlanMemory, NeverPlansMoreThanThereIs) {
    int refused = 0;
    for (std::uint64_t left = 0; left < 64 * kPage; left += kPage / 3) {
        set_left(left);
        for (const char* kv : {"", "50%", "100%", "600KiB", "2MiB"}) {
            try {
                const MemoryPlan planned = plan(kv);
                EXPECT_LE(planned.weights + planned.workspace + planned.kv, request_.available);
                EXPECT_EQ(planned.kv, static_cast<std::uint64_t>(planned.pages) * kPage);
                EXPECT_GE(planned.pages, 10);
            } catch (const Error& error) {
                EXPECT_EQ(error.code(), ExitCode::Checkpoint);
                ++refused;
            }
        }
    }
    EXPECT_GT(refused, 0);
}

TEST_F(PlanMemory, StepsAreAsLargeAsATenthOfWhatIsLeftAllows) {
    const auto needed = [&](int sequences, int rows, bool all_logits) {
        const DecoderLimits limits = limits_of({sequences, rows}, all_logits, request_.limits.positions);
        EXPECT_EQ(limits.logit_rows, all_logits ? rows : sequences);
        return 10 * workspace_bytes(config_, shard_, limits);
    };
    EXPECT_EQ(chosen(1ULL << 40, {}, false), std::pair(256, 1024));
    EXPECT_EQ(chosen(needed(256, 1024, false), {}, false), std::pair(256, 1024));
    EXPECT_EQ(chosen(needed(256, 1024, false) - 10, {}, false), std::pair(128, 512));
    EXPECT_EQ(chosen(needed(256, 1024, true) - 10, {}, true), std::pair(128, 512));
    EXPECT_EQ(chosen(needed(64, 256, false), {}, false), std::pair(64, 256));
    EXPECT_EQ(chosen(0, {}, false), std::pair(32, 128));
    // What is given stays.
    EXPECT_EQ(chosen(0, {300, 400}, false), std::pair(300, 400));
    EXPECT_EQ(chosen(0, {0, 16}, false), std::pair(16, 16));
    EXPECT_EQ(chosen(0, {100, 0}, false), std::pair(100, 200)) << "prompts have room beside all that decode";
    EXPECT_EQ(chosen(1ULL << 40, {1, 0}, false), std::pair(1, 1024));
}

// On a GPU the operations need memory besides their arrays, and among them what reads the logits: of a large
// vocabulary and narrow layers it needs the most.
TEST_F(PlanMemory, OperationsAreCountedUpToTheChoiceOfTokens) {
    config_.vocab = 1 << 20;
    const DecoderLimits limits{128, 128, 640};  // on the host, too, one block
    const std::size_t most = op_workspace_bytes(config_, shard_, limits, kernels::Family::Cuda);
    const std::vector<kernels::VocabRow> rows(128);
    const std::int32_t first_id[] = {1 << 19, 3 << 18, 1 << 20};  // two of four slices
    kernels::VocabArgs args;
    args.rows = rows;
    args.first_id = first_id;
    args.widest_slice = 1 << 18;
    EXPECT_EQ(most, kernels::most_workspace(kernels::Family::Cuda, args));
    EXPECT_EQ(workspace_bytes(config_, shard_, limits, kernels::Family::Cuda) - most,
              workspace_bytes(config_, shard_, limits, kernels::Family::Reference))
        << "the same arrays, and nothing besides";
}

// Where steps of 1024 rows leave too little for the cache, those of 512 do not.
TEST_F(PlanMemory, StepsLeaveRoomForTheCache) {
    const auto workspace = [&] {
        return workspace_bytes(config_, shard_, limits_of({256, 1024}, false, request_.limits.positions));
    };
    const std::uint64_t asked = 20 * workspace();
    request_.kv_memory = std::to_string(asked);
    EXPECT_EQ(chosen(workspace() + asked, {}, false), std::pair(256, 1024));
    EXPECT_EQ(chosen(workspace() + asked - 1, {}, false), std::pair(128, 512));
    EXPECT_EQ(chosen(asked / 2, {}, false), std::pair(32, 128));

    request_.limits.positions = 64 * 100'000;
    const std::uint64_t sequence = 100'000 * kPage;
    request_.kv_memory = "";
    EXPECT_EQ(chosen(workspace() + sequence / 4 * 5, {}, false), std::pair(256, 1024));
    EXPECT_EQ(chosen(workspace() + sequence / 4 * 5 - 1, {}, false), std::pair(128, 512));
    request_.kv_memory = "50%";
    EXPECT_EQ(chosen(workspace() + sequence * 2, {}, false), std::pair(256, 1024));
    EXPECT_EQ(chosen(workspace() + sequence * 2 - 2, {}, false), std::pair(128, 512));
    request_.kv_memory = "much";
    expect_error([&] { (void)chosen(1ULL << 40, {}, false); }, ExitCode::Usage, {"--kv-memory", "much"});
}

TEST(AvailableHostMemory, IsSomeOfWhatTheMachineHas) {
    const auto machine = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                         static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE));
    EXPECT_GT(available_host_memory(), 0U);
    EXPECT_LE(available_host_memory(), machine);
}

}  // namespace
}  // namespace sluice::test
