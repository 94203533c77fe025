// The programs themselves: exit codes, messages, memory, and a kill in the middle.
#include "checkpoint/models.hpp"
#include "support/scratch_folder.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <vector>

namespace sluice {
namespace {

struct Ending {
    int code = -1;  // or -signal
    long peak_kib = 0;
    std::string out, err;
};

class Tools : public testing::Test {
protected:
    pid_t start(std::vector<std::string> words) const {
        const std::string out = folder_ / "stdout";
        const std::string err = folder_ / "stderr";
        const pid_t pid = ::fork();
        if (pid != 0) return pid;
        std::vector<char*> argv;
        for (std::string& word : words) argv.push_back(word.data());
        argv.push_back(nullptr);
        if (std::freopen(out.c_str(), "w", stdout) == nullptr ||
            std::freopen(err.c_str(), "w", stderr) == nullptr)
            ::_exit(126);
        ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    Ending wait(pid_t pid) const {
        int status = 0;
        rusage usage{};
        EXPECT_EQ(::wait4(pid, &status, 0, &usage), pid);
        return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), usage.ru_maxrss,
                content_of(folder_ / "stdout"), content_of(folder_ / "stderr")};
    }
    Ending run(const std::vector<std::string>& words) const { return wait(start(words)); }

    // About 200 MB of fp8 in tensors of 4 MB.
    std::filesystem::path big_model() const {
        auto config = nlohmann::ordered_json::parse(content_of(test::tiny_v3() / "config.json"));
        config.update(nlohmann::ordered_json{{"hidden_size", 1024},
                                             {"moe_intermediate_size", 4096},
                                             {"num_hidden_layers", 1},
                                             {"first_k_dense_replace", 0},
                                             {"num_nextn_predict_layers", 0}});
        test::write_random_model(folder_ / "big", config, 2);
        return folder_ / "big";
    }
    static std::uintmax_t size_of_files(const std::filesystem::path& folder) {
        std::uintmax_t size = 0;
        for (const auto& entry : std::filesystem::directory_iterator(folder)) size += entry.file_size();
        return size;
    }
    // Of what is there of them: files may have their sizes before their values.
    static std::uintmax_t allocated_bytes(const std::filesystem::path& folder) {
        std::uintmax_t size = 0;
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            struct stat status {};
            if (::stat(entry.path().c_str(), &status) == 0) size += 512 * std::uintmax_t(status.st_blocks);
        }
        return size;
    }
    std::vector<std::string> partial_folders() const {
        std::vector<std::string> names;
        for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
            const std::string name = entry.path().filename().string();
            if (name.ends_with(".partial")) names.push_back(name);
        }
        return names;
    }

    ScratchFolder folder_;
    std::string out_ = folder_ / "out";
};

TEST_F(Tools, EveryProgramHelpsAndNamesItsVersion) {
    for (const char* program : {SLUICE_SHARD, SLUICE_CAST, SLUICE_INSPECT, SLUICE_SYNTH}) {
        const Ending help = run({program, "--help"});
        EXPECT_EQ(help.code, 0);
        const bool own_config = program == std::string(SLUICE_SYNTH);
        for (const char* option : {own_config ? "--options" : "--config", "--version", "--log-level"})
            EXPECT_NE(help.out.find(option), std::string::npos) << program << " " << option;
        const Ending version = run({program, "--version"});
        EXPECT_EQ(version.code, 0);
        EXPECT_EQ(help.out.find("ckpt-0") != std::string::npos, !own_config) << program;
        EXPECT_TRUE(version.out.starts_with(std::filesystem::path(program).filename().string() + " "));
    }
}

TEST_F(Tools, ExitCodesTellTheKindOfFailure) {
    const std::string v3 = test::tiny_v3();
    EXPECT_EQ(run({SLUICE_SHARD, "--input", v3}).code, 2);
    EXPECT_EQ(run({SLUICE_SHARD, "--input", v3, "--output", out_, "--dtype", "int4"}).code, 2);
    EXPECT_EQ(run({SLUICE_SHARD, "--input", v3, "--output", out_, "--slices", "8"}).code, 2);
    EXPECT_EQ(run({SLUICE_SHARD, "--input", v3 + "/nowhere", "--output", out_}).code, 3);
    EXPECT_EQ(run({SLUICE_SHARD, "--input", v3, "--output", "/dev/null/out"}).code, 4);
    EXPECT_EQ(run({SLUICE_SHARD, "--input", v3, "--output", out_}).code, 0);
    const Ending again = run({SLUICE_SHARD, "--input", v3, "--output", out_});
    EXPECT_EQ(again.code, 4);
    EXPECT_TRUE(again.err.starts_with("sluice: error: ")) << again.err;
    EXPECT_EQ(again.out, "");
}

TEST_F(Tools, SynthTellsWhatIsWrong) {
    const std::string data = SLUICE_TEST_DATA;
    const std::string llama = data + "/models/llama-biased/config.json";
    const auto synth = [&](const std::string& config, const std::vector<std::string>& more) {
        std::vector<std::string> words{SLUICE_SYNTH, "--config", config, "--output", out_};
        words.insert(words.end(), more.begin(), more.end());
        return run(words);
    };
    EXPECT_EQ(run({SLUICE_SYNTH, "--config", llama}).code, 2);
    EXPECT_EQ(synth(llama, {"--dtype", "int4"}).code, 2);
    EXPECT_EQ(synth(llama, {"--max-file-size", "much"}).code, 2);
    EXPECT_EQ(synth(llama, {"--max-file-size", "0"}).code, 2);
    EXPECT_EQ(synth(llama, {"--layers", "0"}).code, 2);
    EXPECT_EQ(synth(data + "/nowhere.json", {}).code, 4);
    EXPECT_EQ(synth(data + "/configs/Grok-2.json", {}).code, 3);
    EXPECT_EQ(synth(llama, {"--tokenizer", data + "/configs"}).code, 4);
    const Ending deep = synth(llama, {"--layers", "10000"});
    EXPECT_EQ(deep.code, 2);
    EXPECT_NE(deep.err.find("--layers 10000: "), std::string::npos) << deep.err;
    for (const char* seed : {"-1", "18446744073709551616", "1e3"})
        EXPECT_EQ(synth(llama, {"--seed", seed}).code, 2) << seed;
    auto many = nlohmann::ordered_json::parse(content_of(data + "/configs/Llama-3.1-405B.json"));
    many["num_hidden_layers"] = 10000;
    const Ending large = synth(folder_.put("many.json", many.dump()), {});
    EXPECT_EQ(large.code, 4);
    EXPECT_NE(large.err.find(" TiB needed, "), std::string::npos) << large.err;
    EXPECT_FALSE(std::filesystem::exists(out_));
    EXPECT_TRUE(partial_folders().empty());
    EXPECT_EQ(synth(llama, {"--seed", "18446744073709551615"}).code, 0);
    const Ending again = synth(llama, {});
    EXPECT_EQ(again.code, 4);
    EXPECT_NE(again.err.find("exists already"), std::string::npos) << again.err;
}

TEST_F(Tools, CastRefusesOptionsOfTheOtherFormat) {
    const std::string v3 = test::tiny_v3();
    EXPECT_EQ(
        run({SLUICE_CAST, "--input", v3, "--output", out_, "--to", "safetensors", "--slices", "2"}).code, 2);
    EXPECT_EQ(run({SLUICE_CAST, "--input", v3, "--output", out_, "--max-file-size", "1GiB"}).code, 2);
}

TEST_F(Tools, ShardReportsWhatQuantisingChanged) {
    const std::string v3 = test::tiny_v3();
    const std::string report = folder_ / "report.jsonl";
    const std::vector<std::string> command{SLUICE_SHARD, "--input", v3, "--output", out_, "--dtype", "int8"};
    auto words = command;
    words.insert(words.end(), {"--report", folder_ / "no/report.jsonl"});
    EXPECT_EQ(run(words).code, 4);
    EXPECT_FALSE(std::filesystem::exists(out_));
    words.back() = report;
    const Ending ending = run(words);
    ASSERT_EQ(ending.code, 0) << ending.err;
    EXPECT_NE(ending.out.find("/layers/*/experts/*/gate"), std::string::npos) << ending.out;
    std::ifstream lines(report);
    std::size_t count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
        const auto tensor = nlohmann::json::parse(line);
        EXPECT_GT(tensor.at("max_error").get<double>(), 0) << line;
        EXPECT_LT(tensor.at("relative_error").get<double>(), 0.02) << line;
    }
    EXPECT_EQ(count, 232U);
}

TEST_F(Tools, OptionsMayStandInAFile) {
    folder_.put("run.toml", "input = \"" + test::tiny_v3().string() + "\"\nslices = 1\ndtype = \"bf16\"\n");
    const std::string file = folder_ / "run.toml";
    EXPECT_EQ(run({SLUICE_SHARD, "--config", file, "--output", out_, "--slices", "2"}).code, 0);
    EXPECT_TRUE(std::filesystem::exists(folder_ / "out/slice-001-of-002.h5"));
    folder_.put("run.toml", "slcies = 1\n");
    EXPECT_EQ(run({SLUICE_SHARD, "--config", file, "--input", test::tiny_v3(), "--output", out_ + "2"}).code,
              2);
}

TEST_F(Tools, ACheckpointWithoutTokenizerIsPointedOut) {
    const std::string models = std::string(SLUICE_TEST_DATA) + "/models/";
    const Ending without = run({SLUICE_SHARD, "--input", models + "grok-tiny-2host", "--output", out_});
    EXPECT_EQ(without.code, 0);
    EXPECT_NE(without.err.find("no tokenizer"), std::string::npos) << without.err;
    EXPECT_NE(without.err.find("tokenizer.model"), std::string::npos) << without.err;
    const Ending with = run({SLUICE_SHARD, "--input", models + "grok-tiny", "--output", out_ + "2"});
    EXPECT_EQ(with.code, 0);
    EXPECT_EQ(with.err.find("no tokenizer"), std::string::npos) << with.err;
}

TEST_F(Tools, InspectShowsCheckpointsOfBothKinds) {
    ASSERT_EQ(run({SLUICE_CAST, "--input", test::tiny_v3(), "--output", out_, "--slices", "2"}).code, 0);
    const auto own = nlohmann::json::parse(run({SLUICE_INSPECT, out_, "--json"}).out);
    EXPECT_EQ(own.at("slices"), 2);
    EXPECT_EQ(own.at("layers"), 4);
    std::size_t bytes = 0;
    for (const auto& tensor : own.at("tensors")) {
        bytes += tensor.at("bytes").get<std::size_t>();
        const bool matrix = tensor.at("name").get<std::string>().ends_with("/gate");
        EXPECT_TRUE(!matrix || tensor.at("dtype") == "bfloat16") << tensor;
    }
    EXPECT_EQ(own.at("bytes"), bytes);
    const auto foreign = nlohmann::json::parse(run({SLUICE_INSPECT, test::tiny_v3(), "--json"}).out);
    EXPECT_EQ(foreign.at("tensors").size(), own.at("tensors").size());
    EXPECT_EQ(own.at("kind"), "sluice");
    EXPECT_EQ(foreign.at("kind"), "huggingface");
    const std::string grok = std::string(SLUICE_TEST_DATA) + "/models/grok-tiny";
    EXPECT_EQ(nlohmann::json::parse(run({SLUICE_INSPECT, grok, "--json"}).out).at("kind"), "grok-release");
    EXPECT_NE(run({SLUICE_INSPECT, grok}).out.find("xAI's release of Grok-1"), std::string::npos);

    const Ending tree = run({SLUICE_INSPECT, out_});
    EXPECT_NE(tree.out.find("/layers/1-3/experts/0-15/gate"), std::string::npos) << tree.out;
    const Ending one = run({SLUICE_INSPECT, out_, "--tensor", "/layers/0/attention/o", "--json"});
    EXPECT_EQ(nlohmann::json::parse(one.out).at("parts").size(), 2U);
    EXPECT_EQ(run({SLUICE_INSPECT, out_, "--tensor", "/nonsense"}).code, 2);
    EXPECT_EQ(run({SLUICE_INSPECT, folder_.path()}).code, 3);
}

TEST_F(Tools, LostOutputIsAFailure) {
    for (const char* output : {"--tensor /norm", "--json"}) {  // within the stream's buffer, and beyond it
        const std::string command =
            fmt::format("'{}' '{}' {} >/dev/full", SLUICE_INSPECT, test::tiny_v3().string(), output);
        const Ending ending = run({"/bin/sh", "-c", command});
        EXPECT_EQ(ending.code, 4);
        EXPECT_TRUE(ending.err.starts_with("sluice-inspect: cannot write to standard output: "))
            << ending.err;
    }
}

TEST_F(Tools, FolderNamesNeedNotBeUtf8) {
    const std::string model = folder_ / "mod\xffl";
    test::copy_folder(test::tiny_v3(), model);
    const auto foreign = nlohmann::json::parse(run({SLUICE_INSPECT, model, "--json"}).out);
    EXPECT_TRUE(foreign.at("folder").get<std::string>().ends_with("mod\ufffdl")) << foreign;
    ASSERT_EQ(run({SLUICE_SHARD, "--input", model, "--output", out_}).code, 0);
    const auto own = nlohmann::json::parse(run({SLUICE_INSPECT, out_, "--json"}).out);
    EXPECT_EQ(own.at("provenance").at("source"), "mod\ufffdl");
}

TEST_F(Tools, MemoryDoesNotGrowWithTheCheckpoint) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "the sanitizer's own memory hides the program's";
#endif
    const std::string model = big_model();
    for (const char* program : {SLUICE_SHARD, SLUICE_CAST}) {
        const Ending ending = run({program, "--input", model, "--output", out_, "--slices", "2"});
        ASSERT_EQ(ending.code, 0) << ending.err;
        ASSERT_GT(size_of_files(out_), 190'000'000U);
        EXPECT_LT(ending.peak_kib, 100'000) << program;
        std::filesystem::remove_all(out_);
    }
}

TEST_F(Tools, SynthNeedsNoMemoryForALargeTensor) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "the sanitizer's own memory hides the program's";
#endif
    auto config = nlohmann::ordered_json::parse(
        content_of(std::filesystem::path(SLUICE_TEST_DATA) / "models/llama-biased/config.json"));
    config["vocab_size"] = 600'000;  // times 144 times 2 bytes
    folder_.put("config.json", config.dump());
    const Ending ending =
        run({SLUICE_SYNTH, "--config", folder_ / "config.json", "--output", out_, "--threads", "2"});
    ASSERT_EQ(ending.code, 0) << ending.err;
    ASSERT_GT(size_of_files(out_), 170'000'000U);
    EXPECT_LT(ending.peak_kib, 40'000);
}

TEST_F(Tools, AKilledRunLeavesNothingThatLooksWhole) {
    const std::string model = big_model();
    const std::vector<std::string> command{SLUICE_SHARD, "--input", model, "--output", out_, "--slices", "2"};
    for (const std::uintmax_t bytes : {0, 20'000'000}) {  // laying out; writing values
        const pid_t pid = start(command);
        const auto far_enough = [&] {
            const std::filesystem::path files = out_ + ".partial/files";
            return std::filesystem::exists(files) && allocated_bytes(files) >= bytes;
        };
        while (!far_enough() && ::waitpid(pid, nullptr, WNOHANG) == 0) ::usleep(200);
        ::kill(pid, SIGKILL);
        EXPECT_EQ(wait(pid).code, -SIGKILL);
        EXPECT_FALSE(std::filesystem::exists(out_));
        ASSERT_EQ(partial_folders().size(), 1U);
        const std::string left = partial_folders().front();
        EXPECT_EQ(run({SLUICE_INSPECT, folder_ / left}).code, 3);
        EXPECT_EQ(run({SLUICE_INSPECT, folder_ / left / "files"}).code, 3);

        const Ending again = run(command);
        EXPECT_EQ(again.code, 0) << again.err;
        EXPECT_EQ(again.err.find("going on where an earlier run stopped") != std::string::npos, bytes > 0)
            << again.err;
        EXPECT_TRUE(partial_folders().empty());
        std::filesystem::remove_all(out_);
    }
}

}  // namespace
}  // namespace sluice
