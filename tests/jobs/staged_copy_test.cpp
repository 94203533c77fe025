// --stage-dir: a machine's own copy of what its ranks read.
#include "jobs/job.hpp"

#include "checkpoint/sluice_checkpoint.hpp"
#include "text/posix_file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Flips `bits` of 64 bytes, or as many as the file has from `at` bytes before its end on.
void flip(const fs::path& path, std::size_t at, int bits) {
    std::string bytes = content_of(path);
    for (std::size_t i = bytes.size() - at; i < std::min(bytes.size(), bytes.size() - at + 64); ++i)
        bytes[i] = static_cast<char>(bytes[i] ^ bits);
    std::ofstream(path, std::ios::binary) << bytes;
}

class StagedCopy : public JobTest {
protected:
    StagedCopy() {
        folder_.put("in.jsonl", mixed_prompts(2));
        copies_ = fs::path(path("disk")) / open_sluice_checkpoint(checkpoint("v3"))->id();
    }
    Ending load(const std::string& output, int ranks) const {
        return run(
            files("v3", "in.jsonl", output) + Words{"--stage-dir", path("disk"), "--max-new-tokens", "2"},
            ranks);
    }
    // A name the copies have while they are made would show here, too.
    std::vector<std::string> names() const {
        std::vector<std::string> all;
        for (const auto& file : fs::directory_iterator(copies_))
            all.push_back(file.path().filename().string());
        std::ranges::sort(all);
        return all;
    }

    // What all processes of this test have logged.
    std::string errors() const {
        std::string all;
        for (const auto& file : fs::directory_iterator(folder_.path()))
            if (file.path().extension() == ".err") all += content_of(file.path());
        return all;
    }

    fs::path copies_;
};

TEST_F(StagedCopy, IsMadeOnceAndFoundAgain) {
    ASSERT_EQ(run(files("v3", "in.jsonl", "plain") + Words{"--max-new-tokens", "2"}).code, 0);
    const Ending first = load("first", 0);
    ASSERT_EQ(first.code, 0) << first.err;
    EXPECT_EQ(sorted_lines(content("first")), sorted_lines(content("plain")));
    EXPECT_EQ(names(), (Words{"common.h5", "slice-000-of-004.h5", "slice-001-of-004.h5",
                              "slice-002-of-004.h5", "slice-003-of-004.h5"}));
    const auto made = fs::last_write_time(copies_ / "common.h5");
    fs::remove(copies_ / "slice-002-of-004.h5");
    fs::resize_file(copies_ / "slice-003-of-004.h5", 1000);
    folder_.put("disk/" + copies_.filename().string() + "/slice-002-of-004.h5.part",
                "what a killed run left");
    const Ending second = load("second", 0);
    ASSERT_EQ(second.code, 0) << second.err;
    EXPECT_EQ(sorted_lines(content("second")), sorted_lines(content("plain")));
    EXPECT_EQ(names().size(), 5U);
    EXPECT_EQ(fs::last_write_time(copies_ / "common.h5"), made);
    for (const std::string& name : names())
        EXPECT_EQ(content_of(copies_ / name), content_of(checkpoint("v3") / name)) << name;
    EXPECT_THAT(load("third", 0).err, HasSubstr("copied 0 B"));
}

TEST_F(StagedCopy, ServesTwoRanksOfAMachine) {
    if (!SLUICE_HAVE_MPI) GTEST_SKIP() << "built without MPI";
    const Ending ending = load("out", 2);
    ASSERT_EQ(ending.code, 0) << ending.err;
    EXPECT_EQ(names().size(), 5U);
    const Ending again = load("again", 2);
    ASSERT_EQ(again.code, 0) << again.err;
    EXPECT_THAT(again.err, HasSubstr("copied 0 B"));
}

TEST_F(StagedCopy, ThatIsDamagedIsRefusedByName) {
    ASSERT_EQ(load("first", 0).code, 0);
    const fs::path slice = copies_ / "slice-001-of-004.h5";
    flip(slice, fs::file_size(slice) / 2, 1);
    const Ending ending = load("second", 0);
    EXPECT_EQ(ending.code, 3);
    EXPECT_THAT(ending.err, HasSubstr(slice.string()));
    EXPECT_THAT(ending.err, HasSubstr("is altered"));
    EXPECT_THAT(ending.err, HasSubstr("remove it, and it is made again"));
    fs::remove(slice);
    EXPECT_EQ(load("third", 0).code, 0);
}

// Two models of one shape: their files are as long as one another's.
TEST_F(StagedCopy, OfAnotherCheckpointIsRefused) {
    std::vector<std::string> ids;
    for (const std::string name : {"a", "b"}) {
        const fs::path model = path("model-" + name);
        fs::copy(fs::path(SLUICE_TEST_DATA) / "models/deepseek-v3-tiny", model, fs::copy_options::recursive);
        flip(model / "model-00002-of-00002.safetensors", 1, name == "a" ? 1 : 2);
        ASSERT_EQ(
            Process({SLUICE_SHARD, "--input", model, "--output", path(name)}, folder_.path()).wait().code, 0);
        ids.push_back(open_sluice_checkpoint(path(name))->id());
    }
    ASSERT_NE(ids[0], ids[1]);
    copies_ = fs::path(path("disk")) / ids[0];
    fs::create_directories(copies_);
    for (const auto& file : fs::directory_iterator(path("b"))) {
        const fs::path name = file.path().filename();
        ASSERT_EQ(file.file_size(), fs::file_size(fs::path(path("a")) / name)) << name;
        fs::copy_file(file, copies_ / name);
    }
    const Words words{"--model",  path("a"),   "--prompts",   path("in.jsonl"),
                      "--output", path("out"), "--stage-dir", path("disk")};
    const Ending ending = run(words);
    EXPECT_EQ(ending.code, 3);
    EXPECT_THAT(ending.err, HasSubstr(copies_.string() + " holds the checkpoint " + ids[1] + ", expected " +
                                      ids[0] + " (a copy made for --stage-dir: remove it"));
}

// As if another job copied, and for long.
TEST_F(StagedCopy, WaitsForAnotherJobUntilItIsStopped) {
    fs::create_directories(copies_);
    const fs::path part = copies_ / "slice-001-of-004.h5.part";
    std::ofstream(part) << "of another job";
    PosixFile other(::open(part.c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_EQ(::flock(other.fd(), LOCK_EX), 0);
    const Words words =
        files("v3", "in.jsonl", "out") + Words{"--stage-dir", path("disk"), "--max-new-tokens", "2"};
    const auto process = start(words);
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (process->running() && occurrences(errors(), "waiting for another job's copy of") == 0 &&
           std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    process->signal(SIGTERM);
    const Ending ending = process->wait();
    EXPECT_EQ(ending.code, 75);
    EXPECT_EQ(occurrences(ending.err, "waiting for another job's copy of"), 1) << ending.err;
    EXPECT_THAT(ending.err, HasSubstr("slice-001-of-004.h5, because signal 15 came: run the same command"));
    EXPECT_EQ(content_of(part), "of another job");
    other.close();
    const Ending again = run(words);
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(names().size(), 5U);
}

TEST_F(StagedCopy, NeedsAFolderItCanMake) {
    folder_.put("disk", "no folder");
    const Ending ending = load("out", 0);
    EXPECT_EQ(ending.code, 4);
    EXPECT_THAT(ending.err, HasSubstr("--stage-dir: cannot make " + copies_.string()));
}

}  // namespace
}  // namespace sluice::test
