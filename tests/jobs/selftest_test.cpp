// sluice-generate --selftest: what it finds well, and what it finds wrong.
#include "comm/communicator.hpp"
#include "jobs/job.hpp"
#include "jobs/selftest_sums.hpp"

#include <gmock/gmock.h>

#include <bit>
#include <cstdint>
#include <fstream>

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class Selftest : public JobTest, public testing::WithParamInterface<int> {
protected:
    void SetUp() override {
        if (GetParam() > 0 && SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
        folder_.put("prompts.txt", "First Citizen:\nSpeak, speak.\n");
    }
    Ending selftest(const Words& words) const { return run(words + Words{"--selftest"}, GetParam()); }
    Words usual() const { return files("v3", "prompts.txt", "out.jsonl"); }
    Words model_only(const std::string& model) const { return {"--model", model, "--threads", "1"}; }
    void expect_failure(const Words& words, int code, const std::string& says) const {
        const Ending ending = selftest(words);
        EXPECT_EQ(ending.code, code) << ending.err;
        EXPECT_THAT(ending.out, ContainsRegex("FAILED: " + says));
        EXPECT_THAT(ending.out, HasSubstr("selftest FAILED\n"));
        EXPECT_THAT(ending.out, HasSubstr("all_reduce  sums")) << "the other checks go on";
    }
};

INSTANTIATE_TEST_SUITE_P(Ranks, Selftest, testing::Values(0, 2), [](const auto& test) {
    return test.param == 0 ? std::string("alone") : "mpirun_" + std::to_string(test.param);
});

TEST_P(Selftest, Passes) {
    const Ending ending = selftest(usual());
    EXPECT_EQ(ending.code, 0) << ending.err;
    EXPECT_EQ(ending.err, "");
    EXPECT_EQ(occurrences(ending.out, "selftest passed\n"), 1);
    EXPECT_THAT(ending.out, Not(HasSubstr("FAILED")));
    for (const char* check :
         {"rank 0", "memory", "model", "reading", "prompts", "output", "clocks", "all_reduce", "broadcast",
          "all_gather", "device sums in the host's memory: sums of"})
        EXPECT_THAT(ending.out, HasSubstr(check));
    for (const char* check : {"rank 1", "latency", "bandwidth"})
        EXPECT_EQ(occurrences(ending.out, check) > 0, GetParam() > 1) << check;
    EXPECT_FALSE(exists("out.jsonl"));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 4)
        << "prompts and the three streams of the process: no file is left";
}

// Ranks that share a GPU have no links.
TEST_P(Selftest, AddsOnTheGpu) {
    program_ = SLUICE_GENERATE_EMULATED;
    const Ending ending = selftest(model_only(checkpoint("v3").string()) + Words{"--device", "cuda"});
    EXPECT_EQ(ending.code, 0) << ending.out;
    EXPECT_THAT(ending.out, HasSubstr("device sums by way of the host: sums of"));
}

TEST_P(Selftest, NeedsOnlyTheModel) {
    const Ending ending = selftest(model_only(checkpoint("v3").string()));
    EXPECT_EQ(ending.code, 0) << ending.out;
    EXPECT_THAT(ending.out, AllOf(Not(HasSubstr("prompts")), Not(HasSubstr("output"))));
}

TEST_P(Selftest, FindsAnOutputThatCannotBeWritten) {
    expect_failure(files("v3", "prompts.txt", "nowhere/out.jsonl"), 4, "rank 0 .host [^ ]+: .*nowhere");
}

TEST_P(Selftest, FindsMissingPrompts) {
    expect_failure(files("v3", "none.txt", "out.jsonl"), 4, "rank 0 .host [^ ]+: .*none.txt");
}

TEST_P(Selftest, FindsAnAlteredModel) {
    const auto copy = folder_ / "altered";
    std::filesystem::copy(checkpoint("v3"), copy);
    std::filesystem::path slice;
    for (const auto& entry : std::filesystem::directory_iterator(copy))
        if (entry.path().filename() != "common.h5" && entry.path().extension() == ".h5")
            slice = std::max(slice, entry.path());
    std::fstream file(slice, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(slice) / 2));
    file << std::string(64, '\x55') << std::flush;
    const int last = std::max(GetParam(), 1) - 1;
    expect_failure(model_only(copy.string()), 3,
                   "rank " + std::to_string(last) + " .host [^ ]+: .*" + slice.filename().string());
}

TEST_P(Selftest, FindsThatTheMemoryDoesNotDo) {
    expect_failure(model_only(checkpoint("v3").string()) + Words{"--kv-memory", "1"}, 3, ".*KV");
}

// Adds an ulp to one sum, and a bit to one byte, on the last rank.
class Faulty final : public Communicator {
public:
    explicit Faulty(Communicator& inner) : inner_(inner) {}
    int rank() const override { return inner_.rank(); }
    int size() const override { return inner_.size(); }
    void all_reduce_sum(std::span<float> inout) override {
        inner_.all_reduce_sum(inout);
        if (last()) inout.back() = std::bit_cast<float>(std::bit_cast<std::uint32_t>(inout.back()) + 1);
    }
    void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
        inner_.all_gather(mine, all);
        if (last()) all.back() ^= std::byte{1};
    }
    void broadcast(std::span<std::byte> bytes, int root) override {
        inner_.broadcast(bytes, root);
        if (last()) bytes.back() ^= std::byte{1};
    }
    void barrier() override { inner_.barrier(); }
    std::unique_ptr<Communicator> split(int color, int key) override { return inner_.split(color, key); }

private:
    void end_job(int code) override { inner_.abort(code); }
    bool last() const { return rank() == size() - 1; }
    Communicator& inner_;
};

TEST(SelftestSums, FindTheSmallestFault) {
    run_on_threads(3, [](Communicator& ranks) {
        EXPECT_THAT(wrong_sums(ranks, 5001), IsEmpty());
        EXPECT_THAT(wrong_broadcast(ranks, 1001, 1), IsEmpty());
        EXPECT_THAT(wrong_gather(ranks, 1001), IsEmpty());
        Faulty faulty(ranks);
        const bool hit = ranks.rank() == 2;
        EXPECT_THAT(wrong_sums(faulty, 5001), hit ? HasSubstr("number 5000") : HasSubstr(""));
        EXPECT_EQ(wrong_sums(faulty, 5001).empty(), !hit);
        const Ops ops(kernels::Family::Cpu, 1);
        EXPECT_THAT(wrong_device_sums(ranks, ops, *make_host_sums(ranks), 5001), IsEmpty());
        EXPECT_EQ(wrong_device_sums(ranks, ops, *make_host_sums(faulty), 5001).empty(), !hit);
        EXPECT_EQ(wrong_broadcast(faulty, 1001, 1).empty(), !hit);
        EXPECT_EQ(wrong_gather(faulty, 1001).empty(), !hit);
    });
}

}  // namespace
}  // namespace sluice::test
