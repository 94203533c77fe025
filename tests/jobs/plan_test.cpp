// sluice-plan as a user runs it: on published configurations, on checkpoints, on what it refuses.
#include "checkpoint/sluice_checkpoint.hpp"
#include "core/units.hpp"
#include "jobs/job.hpp"
#include "model/weights.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

namespace sluice::test {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string config(const std::string& name) {
    return (std::filesystem::path(SLUICE_TEST_DATA) / "configs" / (name + ".json")).string();
}

class PlanTest : public JobTest {
protected:
    Ending plan(const Words& words) const {
        return Process(Words{SLUICE_PLAN} + words, folder_.path()).wait();
    }
    OrderedJson planned(const Words& words) const {
        const Ending ending = plan(words + Words{"--json"});
        EXPECT_EQ(ending.code, 0) << ending.err;
        EXPECT_EQ(ending.err, "");
        return OrderedJson::parse(ending.out);
    }
    void expect_refused(const Words& words, int code, const Words& said) const {
        const Ending ending = plan(words);
        EXPECT_EQ(ending.code, code) << ending.err;
        EXPECT_EQ(ending.out, "");
        EXPECT_EQ(lines_of(ending.err).size(), 1U) << ending.err;
        for (const std::string& word : said) EXPECT_THAT(ending.err, HasSubstr(word));
    }
    // The mesh of so many ranks.
    static OrderedJson mesh(const OrderedJson& plan, int ranks) {
        for (const OrderedJson& mesh : plan["meshes"])
            if (mesh["ranks"] == ranks) return mesh;
        ADD_FAILURE() << "no mesh of " << ranks << " ranks";
        return {};
    }
    static std::vector<int> ranks_of(const OrderedJson& plan) {
        std::vector<int> ranks;
        for (const OrderedJson& mesh : plan["meshes"]) ranks.push_back(mesh["ranks"]);
        return ranks;
    }
};

TEST_F(PlanTest, DeepSeekV3OnTwoNodes) {
    const OrderedJson plan =
        planned({"--config", config("DeepSeek-V3"), "--devices", "16", "--device-memory", "80GiB"});
    EXPECT_EQ(plan["model"]["parameters"]["total"], 671'026'419'200);
    EXPECT_EQ(plan["slices"], 16) << "more than sluice-shard's own choice, as 16 devices need them";
    EXPECT_THAT(ranks_of(plan), testing::ElementsAre(1, 2, 4, 8, 16));
    for (const int ranks : {1, 2, 4, 8}) {
        EXPECT_FALSE(mesh(plan, ranks)["fits"]);
        EXPECT_THAT(mesh(plan, ranks)["refusal"].get<std::string>(), HasSubstr("80.00 GiB is available"));
    }
    const OrderedJson all = mesh(plan, 16);
    EXPECT_TRUE(all["fits"]);
    EXPECT_EQ(all["kv_bytes_per_token"], 61 * 576 * 2);
    // A sixteenth of the matrices at a byte each and of the bfloat16 output matrix and embedding; kv_a, q_a
    // and routers whole.
    const double weights = all["weights"]["bytes"];
    EXPECT_NEAR(weights, 671e9 / 16 * 1.03, 0.03 * weights + 1.5e9);
    for (const char* table : {"embedding", "head"})
        EXPECT_EQ(all["weights"][table], 129280 / 16 * 7168 * 2) << table;
    const std::uint64_t sum = all["weights"]["bytes"].get<std::uint64_t>() +
                              all["workspace"].get<std::uint64_t>() + all["kv_cache"].get<std::uint64_t>() +
                              all["free"].get<std::uint64_t>();
    EXPECT_EQ(sum, 80ULL << 30);
    EXPECT_FALSE(all.contains("prefill")) << "nothing is known of the devices' speed";
    EXPECT_EQ(plan["recommended"]["ranks"], 16);
    EXPECT_EQ(plan["recommended"]["nodes"], 2);
}

TEST_F(PlanTest, SequencesFitByWholePages) {
    const OrderedJson plan = planned({"--config", config("Llama-3.1-8B"), "--devices", "1", "--device-memory",
                                      "80GB", "--lengths", "64,65,4096", "--max-seq-len", "8192"});
    const OrderedJson one = mesh(plan, 1);
    const std::int64_t pages = one["kv_pages"];
    ASSERT_EQ(one["sequences"].size(), 4U);
    EXPECT_EQ(one["sequences"][0]["fit"], pages);
    EXPECT_EQ(one["sequences"][1]["fit"], pages / 2);
    EXPECT_EQ(one["sequences"][2]["fit"], pages / 64);
    EXPECT_EQ(one["sequences"][3]["tokens"], 8192) << "the longest is always asked";
    EXPECT_EQ(one["kv_bytes_per_token"], 32 * 2 * 8 * 128 * 2);
}

TEST_F(PlanTest, AnFp8CacheTakesHalfTheMemory) {
    const OrderedJson plan = planned(
        {"--config", config("Llama-3.1-8B"), "--devices", "1", "--device", "h100", "--kv-dtype", "fp8"});
    EXPECT_EQ(mesh(plan, 1)["kv_bytes_per_token"], 32 * 2 * 8 * 128);
    EXPECT_EQ(plan["limits"]["kv_dtype"], "float8_e4m3fn");
    EXPECT_THAT(plan["recommended"]["mpirun"].get<std::string>(), HasSubstr(" --kv-dtype fp8"));
}

TEST_F(PlanTest, SaysWhyRanksCannotShareTheModel) {
    const OrderedJson plan =
        planned({"--config", config("Grok-1"), "--devices", "16", "--device-memory", "141GB"});
    EXPECT_EQ(plan["slices"], 8);
    EXPECT_THAT(mesh(plan, 16)["refusal"].get<std::string>(), HasSubstr("has only 8 parts"));
    EXPECT_FALSE(mesh(plan, 16).contains("weights"));
    EXPECT_TRUE(mesh(plan, 8)["fits"]);
    EXPECT_EQ(plan["recommended"]["ranks"], 8);
    EXPECT_EQ(plan["recommended"]["nodes"], 1);
}

TEST_F(PlanTest, SlicesOfOnesOwn) {
    const OrderedJson plan = planned({"--config", config("DeepSeek-V2-Lite"), "--devices", "8",
                                      "--device-memory", "80GiB", "--slices", "6"});
    EXPECT_THAT(ranks_of(plan), testing::ElementsAre(1, 2, 3, 4, 6, 8));
    EXPECT_THAT(mesh(plan, 4)["refusal"].get<std::string>(), HasSubstr("6 slices do not share evenly"));
    EXPECT_TRUE(mesh(plan, 3)["same_bits_as_one_rank"]);
    EXPECT_FALSE(mesh(plan, 2)["same_bits_as_one_rank"]) << "three slices a rank";
    EXPECT_EQ(plan["recommended"]["ranks"], 6);
    expect_refused({"--config", config("Llama-3.1-8B"), "--device-memory", "80GiB", "--slices", "9"}, 2,
                   {"--slices 9", "has only 8 parts", "at most 8 are possible"});
}

TEST_F(PlanTest, ARankOnAGpuTakesOnlySoManySlices) {
    const OrderedJson plan =
        planned({"--config", config("DeepSeek-V3"), "--devices", "64", "--device", "h100", "--slices", "64"});
    EXPECT_THAT(mesh(plan, 1)["refusal"].get<std::string>(), HasSubstr("64 slices of a weight"));
    EXPECT_TRUE(mesh(plan, 64)["fits"]);
}

TEST_F(PlanTest, OtherTypesTakeOtherMemory) {
    const auto weights = [&](const std::string& model, const std::string& dtype) {
        const OrderedJson plan = planned({"--config", config(model), "--device-memory", "2TiB", "--dtype",
                                          dtype, "--max-seq-len", "4096"});
        return mesh(plan, 1)["weights"]["bytes"].get<double>();
    };
    const double bf16 = weights("DeepSeek-V3", "bf16");
    const double fp8 = weights("DeepSeek-V3", "keep");
    EXPECT_NEAR(bf16 / 2 / 671.03e9, 1, 0.001);
    EXPECT_EQ(fp8, weights("DeepSeek-V3", "fp8"));
    EXPECT_NEAR(fp8 / bf16, 0.503, 0.001) << "half, a scale for each 2048 codes, and what stays bfloat16";
    EXPECT_EQ(weights("Llama-3.1-8B", "keep"), weights("Llama-3.1-8B", "bf16"));
    EXPECT_NEAR(weights("Mixtral-8x7B-v0.1", "int8") / weights("Mixtral-8x7B-v0.1", "bf16"), 0.5, 0.01);
}

TEST_F(PlanTest, EstimatesFromBandwidthAndPeak) {
    const Words words{"--config",        config("Llama-3.1-8B"),
                      "--device-memory", "80GB",
                      "--max-seq-len",   "8192",
                      "--batch",         "1,64",
                      "--context",       "1024"};
    const OrderedJson h100 = mesh(planned(words + Words{"--device", "h100"}), 1);
    const OrderedJson same = mesh(planned(words + Words{"--bandwidth", "3.35TB", "--flops", "989e12"}), 1);
    EXPECT_EQ(h100["decode"], same["decode"]);
    ASSERT_EQ(h100["decode"].size(), 2U);
    const double read =
        h100["weights"]["bytes"].get<double>() - h100["weights"]["embedding"].get<double>() + 1024.0 * 131072;
    EXPECT_NEAR(h100["decode"][0]["step_seconds"].get<double>(), read / 3.35e12, 1e-9);
    EXPECT_EQ(h100["decode"][0]["limited_by"], "memory");
    EXPECT_NEAR(h100["decode"][1]["tokens_per_second"].get<double>() *
                    h100["decode"][1]["step_seconds"].get<double>(),
                64, 1e-6);
    EXPECT_EQ(h100["prefill"]["limited_by"], "compute");
    // The command line wins over the name.
    const OrderedJson slow = mesh(planned(words + Words{"--device", "h100", "--bandwidth", "1.675TB"}), 1);
    EXPECT_NEAR(slow["decode"][0]["step_seconds"].get<double>(),
                2 * h100["decode"][0]["step_seconds"].get<double>(), 1e-9);
    EXPECT_FALSE(mesh(planned(words + Words{"--bandwidth", "3.35TB"}), 1).contains("decode"));
}

TEST_F(PlanTest, EstimatesNoMoreSequencesThanFit) {
    const OrderedJson one =
        mesh(planned({"--config", config("Llama-3.1-8B"), "--device", "h100", "--kv-memory", "8GiB",
                      "--max-seq-len", "8192", "--context", "8192"}),
             1);
    ASSERT_EQ(one["sequences"].back()["fit"], 8);
    ASSERT_EQ(one["decode"].size(), 2U);
    EXPECT_EQ(one["decode"][0]["batch"], 1);
    EXPECT_EQ(one["decode"][1]["batch"], 8) << "64 were asked for, too";
}

struct Planned {
    const char* checkpoint;
    int ranks;
};
std::string name_of(const testing::TestParamInfo<Planned>& param) {
    std::string name = param.param.checkpoint;
    for (char& c : name) c = c == '-' ? '_' : c;
    return name + "_" + std::to_string(param.param.ranks);
}

class PlannedWeights : public PlanTest, public testing::WithParamInterface<Planned> {};

TEST_P(PlannedWeights, AreWhatTheFullestRankLoads) {
    const auto [name, ranks] = GetParam();
    const OrderedJson plan = planned({"--config", checkpoint(name).string(), "--devices",
                                      std::to_string(ranks), "--device-memory", "4GiB"});
    WeightBytes fullest;
    for (int rank = 0; rank < ranks; ++rank) {
        const auto opened = open_sluice_checkpoint(checkpoint(name));
        const Ops ops(kernels::Family::Cpu, 1);
        const WeightBytes claimed = load_weights(*opened, {rank, ranks, opened->slices()}, ops,
                                                 Products::Bf16, [](const LoadProgress&) {})
                                        .bytes;
        if (claimed.all > fullest.all) fullest = claimed;
    }
    const OrderedJson weights = mesh(plan, ranks)["weights"];
    EXPECT_EQ(weights["bytes"], fullest.all);
    EXPECT_EQ(weights["experts"], fullest.experts);
    EXPECT_EQ(weights["embedding"], fullest.embedding);
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, PlannedWeights,
                         testing::Values(Planned{"v3", 1}, Planned{"v3", 2}, Planned{"v2", 1},
                                         Planned{"v2", 2}, Planned{"llama", 1}, Planned{"llama", 2},
                                         Planned{"grok", 1}, Planned{"grok", 2}, Planned{"wide-6-slices", 3}),
                         name_of);

// What the plan says of a checkpoint is what the job then says of itself.
class PlannedJob : public PlanTest, public testing::WithParamInterface<Planned> {};

TEST_P(PlannedJob, HoldsWhatWasPlanned) {
    const auto [name, ranks] = GetParam();
    if (ranks > 1 && SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    folder_.put("in.txt", "First Citizen:\n");
    const std::string folder = checkpoint(name).string();
    const OrderedJson plan =
        planned({"--config", folder, "--devices", std::to_string(ranks), "--device-memory", "4GiB",
                 "--kv-memory", "3MiB", "--max-seq-len", "256"});
    const OrderedJson mine = mesh(plan, ranks);
    const Ending job = run(files(name, "in.txt", "out.jsonl") +
                               Words{"--kv-memory", "3MiB", "--max-seq-len", "256", "--dry-run"},
                           ranks > 1 ? ranks : 0);
    ASSERT_EQ(job.code, 0) << job.err;
    const auto text = [&](const OrderedJson& bytes) { return bytes_text(bytes.get<std::uint64_t>()); };
    const std::string said = "each rank: weights " + text(mine["weights"]["bytes"]) + ", workspace " +
                             text(mine["workspace"]) + ", KV cache " + text(mine["kv_cache"]);
    EXPECT_THAT(job.err, HasSubstr(said));
    EXPECT_TRUE(plan["recommended"]["shard"].is_null()) << "the checkpoint is there";
    EXPECT_THAT(plan["recommended"]["mpirun"].get<std::string>(), HasSubstr("--model " + folder));
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, PlannedJob,
                         testing::Values(Planned{"v3", 1}, Planned{"v3", 2}, Planned{"v3-bf16", 1},
                                         Planned{"v2", 1}, Planned{"v2", 2}),
                         name_of);

TEST_F(PlanTest, FoldersOfEveryKind) {
    const std::filesystem::path models = std::filesystem::path(SLUICE_TEST_DATA) / "models";
    const OrderedJson own = planned({"--config", checkpoint("v3").string(), "--device-memory", "1GiB"});
    const OrderedJson foreign =
        planned({"--config", (models / "deepseek-v3-tiny").string(), "--device-memory", "1GiB"});
    EXPECT_EQ(own["slices"], 4);
    EXPECT_EQ(own["model"], foreign["model"]);
    EXPECT_EQ(own["meshes"], foreign["meshes"]);
    EXPECT_THAT(foreign["recommended"]["shard"].get<std::string>(),
                HasSubstr("sluice-shard --input " + (models / "deepseek-v3-tiny").string() + " --output"));
    const OrderedJson release =
        planned({"--config", (models / "grok-tiny").string(), "--device-memory", "1GiB"});
    EXPECT_EQ(release["meshes"],
              planned({"--config", checkpoint("grok").string(), "--device-memory", "1GiB"})["meshes"]);
    EXPECT_EQ(release["model"]["dtype"], "int8");
}

TEST_F(PlanTest, CheckpointsThatHaveYetToBeMade) {
    const auto best = [&](const std::string& model, const std::string& dtype) {
        return planned({"--config", model, "--device-memory", "160GB", "--dtype", dtype, "--max-seq-len",
                        "64"})["recommended"];
    };
    const std::string own = checkpoint("v3").string();
    EXPECT_THAT(best(own, "bf16")["shard"].get<std::string>(),
                HasSubstr("sluice-shard --input SOURCE --output MODEL --slices 4 --dtype bf16"))
        << "not from our own";
    EXPECT_EQ(best(own, "bf16")["notes"].size(), 0U);
    EXPECT_TRUE(best(own, "fp8")["shard"].is_null()) << "it is there";
    for (const std::string& model : {own, config("Mixtral-8x7B-v0.1")}) {
        const OrderedJson none = best(model, "int8");
        EXPECT_TRUE(none["shard"].is_null());
        EXPECT_THAT(none["mpirun"].get<std::string>(), HasSubstr("--model MODEL "));
        ASSERT_EQ(none["notes"].size(), 1U);
        EXPECT_THAT(none["notes"][0].get<std::string>(), HasSubstr("int8"));
    }
}

TEST_F(PlanTest, GpusAreAskedForByTheirName) {
    const Words words{"--config", config("Llama-3.1-8B")};
    const OrderedJson gpu = planned(words + Words{"--device", "h100"})["recommended"];
    EXPECT_THAT(gpu["sbatch"].get<std::string>(), HasSubstr("--gpus-per-node=1"));
    EXPECT_THAT(gpu["notes"][0].get<std::string>(), HasSubstr("no GPU has run"));
    EXPECT_THAT(gpu["mpirun"].get<std::string>(), HasSubstr(" --device cuda"));
    EXPECT_THAT(plan(words + Words{"--device", "h100"}).out, HasSubstr("  # no GPU has run"));
    for (const Words& device : {Words{}, Words{"--device", "cpu"}}) {
        const OrderedJson cpu = planned(words + device + Words{"--device-memory", "80GiB"})["recommended"];
        EXPECT_THAT(cpu["sbatch"].get<std::string>(), Not(HasSubstr("gpus")));
        EXPECT_EQ(cpu["notes"].size(), 0U);
    }
}

// The program itself, on an emulated GPU of 8 GiB.
TEST_F(PlanTest, AGpuHoldsThePagesThatWerePlanned) {
    program_ = SLUICE_GENERATE_EMULATED;
    folder_.put("in.txt", "First Citizen:\n");
    const Words limits{"--kv-memory", "90%", "--max-seq-len", "256"};
    const OrderedJson one = mesh(
        planned(Words{"--config", checkpoint("v3").string(), "--device", "cuda", "--device-memory", "8GiB"} +
                limits),
        1);
    const Ending job =
        run(files("v3", "in.txt", "out.jsonl") + limits + Words{"--device", "cuda", "--dry-run"});
    ASSERT_EQ(job.code, 0) << job.err;
    EXPECT_THAT(job.err, HasSubstr("(" + std::to_string(one["kv_pages"].get<int>() * 64) + " tokens)"));
    EXPECT_LT(one["kv_cache"].get<std::uint64_t>(), 7ULL << 30) << "a gibibyte is left";
}

// What a GPU holds is no memory of its host.
TEST_F(PlanTest, JobsAskForTheHostsMemoryThatTheyTake) {
    const auto asked = [&](const Words& device, std::uint64_t uncounted) {
        const OrderedJson plan = planned(
            Words{"--config", config("Llama-3.1-8B"), "--max-seq-len", "8192", "--kv-memory", "8GiB"} +
            device);
        const OrderedJson one = mesh(plan, 1);
        const std::string sbatch = plan["recommended"]["sbatch"];
        const std::uint64_t bytes = one["host_memory"].get<std::uint64_t>() + uncounted;
        EXPECT_THAT(sbatch, HasSubstr(fmt::format("--mem={}M ", (bytes >> 20) + 1)));
        return one;
    };
    const OrderedJson gpu = asked({"--device", "h100"}, 4ULL << 30);
    EXPECT_EQ(gpu["host_memory"], gpu["staging"]);
    const OrderedJson cpu = asked({"--device-memory", "80GB"}, 1ULL << 30);
    EXPECT_EQ(
        cpu["host_memory"].get<std::uint64_t>(),
        cpu["weights"]["bytes"].get<std::uint64_t>() + cpu["workspace"].get<std::uint64_t>() + (8ULL << 30));
}

// On any machine, also one without a GPU or the code for it.
TEST_F(PlanTest, WeightsAreCountedAsTheDeviceLaysThemOut) {
    const auto counted = [&](const Words& device) {
        return mesh(planned(Words{"--config", checkpoint("v3").string(), "--device-memory", "4GiB"} + device),
                    1);
    };
    const auto opened = open_sluice_checkpoint(checkpoint("v3"));
    const Shard whole{0, 1, opened->slices()};
    const auto bytes = [&](kernels::Family family) {
        return weight_bytes(opened->config(), whole, router_type(*opened), family).all;
    };
    ASSERT_NE(bytes(kernels::Family::Cuda), bytes(kernels::Family::Cpu));
    for (const char* gpu : {"cuda", "a100"}) {
        EXPECT_EQ(counted({"--device", gpu})["weights"]["bytes"], bytes(kernels::Family::Cuda)) << gpu;
        EXPECT_NE(counted({"--device", gpu})["workspace"], counted({})["workspace"]) << gpu;
    }
    for (const Words& cpu : {Words{}, Words{"--device", "cpu"}})
        EXPECT_EQ(counted(cpu)["weights"]["bytes"], bytes(kernels::Family::Cpu));
    expect_refused({"--config", config("Llama-3.1-8B"), "--device", "cuda"}, 2,
                   {"--device-memory is missing"});
}

TEST_F(PlanTest, TheCommandsAreForAShell) {
    std::filesystem::create_directory(folder_ / "it's here");
    std::filesystem::copy_file(config("Llama-3.1-8B"), folder_ / "it's here/config.json");
    const OrderedJson plan = planned({"--config", path("it's here"), "--devices", "8", "--devices-per-node",
                                      "4", "--device", "h100", "--max-seq-len", "4096"});
    const OrderedJson& best = plan["recommended"];
    EXPECT_THAT(best["shard"].get<std::string>(), HasSubstr("--input '" + path("it'\\''s here") + "' "));
    EXPECT_THAT(best["shard"].get<std::string>(), HasSubstr("--slices 8"));
    EXPECT_THAT(best["mpirun"].get<std::string>(),
                HasSubstr("mpirun -n 8 --map-by ppr:4:node --bind-to none sluice-generate "));
    EXPECT_THAT(best["mpirun"].get<std::string>(), HasSubstr("--max-seq-len 4096"));
    const std::string sbatch = best["sbatch"];
    EXPECT_THAT(sbatch, HasSubstr("sbatch --nodes=2 --ntasks=8 --ntasks-per-node=4 --gpus-per-node=4 "));
    EXPECT_THAT(sbatch, HasSubstr(" slurm/generate.sbatch --kv-memory "));
    // The cache that was planned, for the job's own memory limit would make a share smaller.
    EXPECT_THAT(sbatch, HasSubstr("--kv-memory " + mesh(plan, 8)["kv_cache"].dump()));
}

TEST_F(PlanTest, ATableForPeople) {
    const Ending ending = plan({"--config", config("DeepSeek-V3"), "--devices", "16", "--device", "h200"});
    EXPECT_EQ(ending.code, 0);
    for (const char* said :
         {"671.03 B, 36.63 B of them active", "float8_e4m3fn", "\n   16  ", "\n    2  ",
          "the model does not fit", "Tokens a second at best",
          "sluice-shard --input SOURCE --output MODEL --slices 16", "mpirun -n 16", "sbatch "})
        EXPECT_THAT(ending.out, HasSubstr(said));
    const Ending none = plan({"--config", config("DeepSeek-V3"), "--devices", "2", "--device", "h100"});
    EXPECT_EQ(none.code, 0) << "that is an answer, too";
    EXPECT_THAT(none.out, HasSubstr("None fits: take more devices, "));
    EXPECT_THAT(plan({"--config", config("Llama-3.1-405B"), "--devices", "16", "--device", "h100"}).out,
                HasSubstr("None fits: take devices with more memory"))
        << "16 ranks cannot share 8 heads";
    EXPECT_THAT(none.out, Not(HasSubstr("mpirun")));
}

TEST_F(PlanTest, RefusesModelsByWhatTheyAre) {
    const Words memory{"--device-memory", "80GiB"};
    expect_refused(Words{"--config", config("Grok-2")} + memory, 3, {"Grok-2.json", "model_type"});
    const std::string qwen = folder_.put("qwen.json", R"({"model_type": "qwen2"})").string();
    expect_refused(Words{"--config", qwen} + memory, 3, {"qwen.json", "model_type", "qwen2", "deepseek_v3"});
    std::string wide = content_of(config("Llama-3.1-8B"));
    const std::string width = "\"intermediate_size\": 14336";
    wide.replace(wide.find(width), width.size(), "\"intermediate_size\": 2000000");
    expect_refused(Words{"--config", folder_.put("wide.json", wide).string()} + memory, 3,
                   {"wide.json", "2000000 wide"});
    expect_refused(Words{"--config", path("none.json")} + memory, 4, {"none.json: there is no such file"});
    expect_refused(Words{"--config", folder_.path().string()} + memory, 3, {"config.json is missing"});
}

TEST_F(PlanTest, RefusesOptionsThatMakeNoSense) {
    const Words model{"--config", config("Llama-3.1-8B")};
    const Words memory{"--device-memory", "80GiB"};
    expect_refused(model, 2, {"--device-memory is missing", "80GiB"});
    expect_refused(memory, 2, {"--config is required"});
    for (const char* count : {"0", "-1", "many", "65537"})
        expect_refused(model + memory + Words{"--devices", count}, 2, {"--devices"});
    expect_refused(model + memory + Words{"--devices-per-node", "0"}, 2, {"--devices-per-node"});
    for (const char* amount : {"0", "80 GiB", "-1GiB", "lots", "80Gib"})
        expect_refused(model + Words{"--device-memory", amount}, 2, {"--device-memory"});
    expect_refused(model + memory + Words{"--bandwidth", "0"}, 2, {"--bandwidth"});
    for (const char* flops : {"-1", "nan", "inf"})
        expect_refused(model + memory + Words{"--flops", flops}, 2, {"--flops"});
    expect_refused(model + memory + Words{"--max-seq-len", "131073"}, 2, {"131073", "131072 positions"});
    expect_refused(model + memory + Words{"--max-batch", "1048577"}, 2, {"--max-batch", "1048576"});
    expect_refused(model + memory + Words{"--max-batch", "600", "--max-batch-tokens", "512"}, 2,
                   {"--max-batch-tokens 512"});
    expect_refused(model + memory + Words{"--kv-memory", "120%"}, 2, {"--kv-memory", "80%"});
    expect_refused(model + memory + Words{"--lengths", "0"}, 2, {"--lengths"});
    expect_refused(model + memory + Words{"--dtype", "int4"}, 2, {"--dtype"});
    expect_refused(model + memory + Words{"--device", "tpu"}, 2, {"--device"});
    expect_refused(model + Words{"--device", "h100", "--kv-dtype", "f32"}, 2, {"--kv-dtype f32", "on GPUs"});
}

// --config is the model, so a file of options has another name.
TEST_F(PlanTest, OptionsFromAFile) {
    folder_.put("plan.toml", "devices = 4\ndevice-memory = \"80GiB\"\nmax-seq-len = 4096\n");
    const OrderedJson plan = planned({"--config", config("Llama-3.1-8B"), "--options", path("plan.toml")});
    EXPECT_EQ(plan["devices"]["count"], 4);
    EXPECT_EQ(plan["limits"]["max_seq_len"], 4096);
    EXPECT_EQ(planned({"--config", config("Llama-3.1-8B"), "--options", path("plan.toml"), "--devices",
                       "2"})["devices"]["count"],
              2);
    folder_.put("typo.toml", "device = \"h100\"\ndevises = 4\n");
    expect_refused({"--config", config("Llama-3.1-8B"), "--options", path("typo.toml")}, 2, {"devises"});
}

}  // namespace
}  // namespace sluice::test
