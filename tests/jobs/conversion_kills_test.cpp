// A conversion that is killed at any moment, and run again, ends in the very bytes of an undisturbed one.
#include "jobs/job.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <map>
#include <random>
#include <thread>

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

std::map<std::string, std::string> files_of(const fs::path& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(folder))
        files[entry.path().filename().string()] = content_of(entry.path());
    return files;
}

// Names and bytes alike; says which file differs, not how.
void expect_equal(const fs::path& found, const fs::path& expected) {
    const auto found_files = files_of(found);
    const auto expected_files = files_of(expected);
    for (const auto& [name, bytes] : expected_files) {
        ASSERT_TRUE(found_files.contains(name)) << name << " is missing";
        EXPECT_TRUE(found_files.at(name) == bytes) << name << " differs";
    }
    EXPECT_EQ(found_files.size(), expected_files.size());
}

struct Case {
    const char* name;
    const char* tool;
    const char* model;
    Words options;
};

const Case kCases[] = {
    {"keep", SLUICE_SHARD, "deepseek-v3-tiny", {"--slices", "2"}},
    {"int8", SLUICE_SHARD, "deepseek-v3-tiny", {"--dtype", "int8"}},
    {"safetensors", SLUICE_CAST, "deepseek-v3-tiny", {"--to", "safetensors", "--max-file-size", "1MiB"}},
    {"grok", SLUICE_SHARD, "grok-tiny-2host", {}}};

class ConversionKills : public JobTest {
protected:
    Words words(const Case& way, const std::string& output) const {
        const std::string model = std::string(SLUICE_TEST_DATA) + "/models/" + way.model;
        return Words{way.tool, "--input", model, "--output", path(output)} + way.options;
    }
    Ending run_tool(const Words& words) const { return Process(words, folder_.path()).wait(); }
    void expect_done(const Words& words) const {
        const Ending ending = run_tool(words);
        ASSERT_EQ(ending.code, 0) << ending.err;
    }
    void expect_no_leftovers() const { EXPECT_FALSE(exists("out.partial")); }
};

// Chains of kills, each after a random time, until a run gets to its end.
TEST_F(ConversionKills, AtRandomMoments) {
    const char* wanted = std::getenv("SLUICE_KILLS");
    const int kills = wanted == nullptr ? 4 : std::atoi(wanted);
    for (const Case& way : kCases) {
        std::mt19937 random(7);
        fs::remove_all(path("whole"));
        const auto start = Clock::now();
        expect_done(words(way, "whole"));
        const double whole = std::chrono::duration<double>(Clock::now() - start).count();
        for (int killed = 0; killed < kills;) {
            fs::remove_all(path("out"));
            fs::remove_all(path("out.partial"));  // notes, where a run died once all was done
            while (!exists("out")) {
                Process process(words(way, "out"), folder_.path());
                const double wait = std::uniform_real_distribution<double>(0, whole)(random);
                const auto end = Clock::now() + std::chrono::duration<double>(wait);
                while (process.running() && Clock::now() < end)
                    std::this_thread::sleep_for(std::chrono::milliseconds(1));
                if (killed++ < kills) process.kill_tree();
                const Ending ending = process.wait();
                ASSERT_TRUE(ending.code == 0 || ending.code == 128 + SIGKILL) << ending.err;
            }
            expect_equal(path("out"), path("whole"));
        }
    }
}

class ConversionWrites : public ConversionKills {
protected:
    void SetUp() override {
#ifdef __SANITIZE_ADDRESS__
        GTEST_SKIP() << "AddressSanitizer wants to be loaded first";
#endif
    }
    Ending run_until(long death, const Words& words) const {
        const Words env{"env", "LD_PRELOAD=" SLUICE_KILL_AT_WRITE, "SLUICE_KILL_FOLDER=" + path("out"),
                        "SLUICE_KILL_LOG=" + path("moments"), "SLUICE_KILL_AT=" + std::to_string(death)};
        fs::remove(path("moments"));
        return run_tool(env + words + Words{"--threads", "1"});
    }
    std::vector<std::string> moments() const { return lines_of(content("moments")); }
};

// Before and in the middle of what is written, made durable, renamed and removed: all that is not values, and
// some of the values.
TEST_F(ConversionWrites, DieAnywhere) {
    for (const Case& way : {kCases[0], kCases[2]}) {
        fs::remove_all(path("out"));
        ASSERT_EQ(run_until(0, words(way, "out")).code, 0);
        fs::rename(path("out"), path("whole"));
        const std::vector<std::string> all = moments();
        ASSERT_GT(all.size(), 100U);
        std::map<std::string, int> seen;
        for (std::size_t i = 0; i < all.size(); ++i) {
            // Of alike moments (what is done to which file), the first and ever fewer of the next.
            const int times = ++seen[all[i].substr(all[i].find(' '))];
            if (times != 1 && times != 10 && times != 100 && times != 1000) continue;
            const auto moment = static_cast<long>(i + 1);
            ASSERT_EQ(run_until(moment, words(way, "out")).code, 128 + SIGKILL) << moment;
            if (!exists("out")) {
                expect_done(words(way, "out"));
                expect_no_leftovers();
            }
            expect_equal(path("out"), path("whole"));
            fs::remove_all(path("out"));
            fs::remove_all(path("out.partial"));  // notes of a run that died once all was done
            if (HasFailure()) FAIL() << "at moment " << all[i];
        }
        fs::remove_all(path("whole"));
    }
}

// Ranks share the work and nothing else; a rank that dies leaves the work to the next run, of any size.
TEST_F(ConversionWrites, DieOnARank) {
    if (SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    const Case& way = kCases[0];
    expect_done(words(way, "whole"));
    program_ = "env";
    for (const int ranks : {2, 3}) {
        const std::string dies =
            "if [ \"$OMPI_COMM_WORLD_RANK\" = 1 ]; then export SLUICE_KILL_AT=60; fi; exec \"$@\"";
        const Words preloaded{"LD_PRELOAD=" SLUICE_KILL_AT_WRITE,
                              "SLUICE_KILL_FOLDER=" + path("out"),
                              "SLUICE_KILL_LOG=" + path("moments"),
                              "sh",
                              "-c",
                              dies,
                              "sh"};
        EXPECT_NE(run(preloaded + words(way, "out"), ranks).code, 0);
        EXPECT_TRUE(exists("out.partial"));
        const Ending ending = run(words(way, "out"), 5 - ranks);
        EXPECT_EQ(ending.code, 0) << ending.err;
        EXPECT_NE(ending.err.find("going on where"), std::string::npos) << ending.err;
        expect_equal(path("out"), path("whole"));
        expect_no_leftovers();
        fs::remove_all(path("out"));
    }
}

}  // namespace
}  // namespace sluice::test
