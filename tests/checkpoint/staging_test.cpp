// Folders that appear whole, and what dead processes leave of them.
#include "checkpoint/staging.hpp"
#include "support/scratch_folder.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>

namespace sluice {
namespace {

namespace fs = std::filesystem;

class Staging : public testing::Test {
protected:
    static void put(const fs::path& path, std::string_view content) {
        std::ofstream(path, std::ios::binary) << content;
    }
    // Does `work` with a folder in a process that is killed then.
    void in_killed_process(Leftover leftover, const std::function<void(StagedFolder&)>& work) const {
        const pid_t pid = ::fork();
        if (pid == 0) {
            StagedFolder folder(target_, leftover);
            work(folder);
            ::kill(::getpid(), SIGKILL);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(pid, &status, 0), pid);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the process ended before";
    }
    void leave_work() const {
        in_killed_process(Leftover::Continue, [](StagedFolder& folder) {
            put(folder.path() / "a", "values");
            put(folder.notes() / "journal", "notes");
        });
    }
    std::size_t entries() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_.path()), {}));
    }

    ScratchFolder folder_;
    fs::path target_ = folder_ / "model";
    StagingPaths paths_ = staging_paths(target_);
};

TEST_F(Staging, ACommitLeavesTheFilesAlone) {
    for (const Leftover leftover : {Leftover::Remove, Leftover::Continue}) {
        {
            StagedFolder folder(target_, leftover);
            EXPECT_EQ(folder.path(), paths_.files);
            EXPECT_EQ(folder.notes(), paths_.root);
            EXPECT_FALSE(folder.continued());
            put(folder.path() / "a", "values");
            put(folder.notes() / "journal", "notes");
            EXPECT_FALSE(fs::exists(target_));
            folder.commit();
        }
        EXPECT_EQ(entries(), 1U);
        EXPECT_EQ(content_of(target_ / "a"), "values");
        EXPECT_EQ(std::distance(fs::directory_iterator(target_), {}), 1);
        fs::remove_all(target_);
    }
}

TEST_F(Staging, WithoutACommitWorkIsRemovedOrKept) {
    { StagedFolder(target_, Leftover::Remove); }
    EXPECT_EQ(entries(), 0U);
    { StagedFolder(target_, Leftover::Continue); }
    EXPECT_TRUE(fs::exists(paths_.files));
    {
        StagedFolder folder(target_, Leftover::Continue);
        EXPECT_TRUE(folder.continued());
        folder.discard();
    }
    EXPECT_EQ(entries(), 0U);
}

TEST_F(Staging, AKilledProcessesWorkGoesOn) {
    leave_work();
    StagedFolder folder(target_, Leftover::Continue);
    EXPECT_TRUE(folder.continued());
    EXPECT_EQ(content_of(folder.path() / "a"), "values");
    EXPECT_EQ(content_of(folder.notes() / "journal"), "notes");
    folder.start_over();
    EXPECT_FALSE(folder.continued());
    EXPECT_TRUE(fs::is_empty(folder.path()));
    EXPECT_FALSE(fs::exists(folder.notes() / "journal"));
}

TEST_F(Staging, AKilledProcessesWorkIsRemovedWithAWarning) {
    leave_work();
    testing::internal::CaptureStderr();
    StagedFolder folder(target_, Leftover::Remove);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("model.partial, which an unfinished run left"),
              std::string::npos);
    EXPECT_FALSE(folder.continued());
    EXPECT_TRUE(fs::is_empty(folder.path()));
    EXPECT_FALSE(fs::exists(folder.notes() / "journal"));
}

// As after a kill between the rename of the files and the end: without files, old notes mean nothing.
TEST_F(Staging, NotesAloneAreNothingToGoOnFrom) {
    leave_work();
    fs::rename(paths_.files, target_);
    expect_error([&] { StagedFolder(target_, Leftover::Continue); }, ExitCode::File, {"model exists"});
    fs::remove_all(target_);
    const StagedFolder folder(target_, Leftover::Continue);
    EXPECT_FALSE(folder.continued());
    EXPECT_TRUE(fs::is_empty(folder.path()));
    EXPECT_FALSE(fs::exists(folder.notes() / "journal"));
}

// As after a kill while work was being removed.
TEST_F(Staging, HalfRemovedWorkIsNothingToGoOnFrom) {
    leave_work();
    fs::rename(paths_.files, paths_.root / "removed");
    StagedFolder folder(target_, Leftover::Continue);
    EXPECT_FALSE(folder.continued());
    EXPECT_FALSE(fs::exists(paths_.root / "removed"));
    EXPECT_FALSE(fs::exists(folder.notes() / "journal"));
}

TEST_F(Staging, OnlyOneProcessWrites) {
    for (const Leftover leftover : {Leftover::Remove, Leftover::Continue}) {
        {
            const StagedFolder folder(target_, Leftover::Continue);
            put(folder.path() / "a", "values");
            expect_error([&] { StagedFolder(target_, leftover); }, ExitCode::File,
                         {"model is being written by another process", "wait for it, or stop it"});
            EXPECT_EQ(content_of(folder.path() / "a"), "values");
        }
        const StagedFolder next(target_, Leftover::Continue);
        EXPECT_TRUE(next.continued());
    }
}

TEST_F(Staging, WhatOthersMadeIsLeftAlone) {
    folder_.put("model.partial", "mine");
    expect_error([&] { StagedFolder(target_, Leftover::Remove); }, ExitCode::File,
                 {"model.partial", "in the way"});
    fs::remove(paths_.root);
    fs::create_directory(paths_.root);
    put(paths_.root / "thesis", "mine");
    for (const Leftover leftover : {Leftover::Remove, Leftover::Continue})
        expect_error([&] { StagedFolder(target_, leftover); }, ExitCode::File,
                     {"model.partial", "in the way"});
    EXPECT_EQ(content_of(paths_.root / "thesis"), "mine");
}

TEST_F(Staging, ATargetThatAppearsIsLeftAlone) {
    {
        StagedFolder folder(target_, Leftover::Continue);
        put(folder.path() / "a", "values");
        folder_.put("model", "mine");
        expect_error([&] { folder.commit(); }, ExitCode::File, {"model appeared"});
    }
    EXPECT_EQ(content_of(target_), "mine");
    EXPECT_EQ(content_of(paths_.files / "a"), "values");
}

TEST_F(Staging, OnlyMissingBytesNeedRoom) {
    constexpr std::uint64_t kBytes = 64 << 20;
    const StagedFolder folder(target_, Leftover::Continue);
    put(folder.path() / "a", "");
    const int fd = ::open((folder.path() / "a").c_str(), O_WRONLY);
    ASSERT_EQ(::posix_fallocate(fd, 0, kBytes), 0);
    ::close(fd);
    EXPECT_NO_THROW(folder.require_space(fs::space(folder_.path()).available + kBytes / 2));
    expect_error([&] { folder.require_space(std::uint64_t{1} << 60); }, ExitCode::File, {"needed", "free"});
}

TEST_F(Staging, ATargetMayEndWithASlash) {
    EXPECT_EQ(staging_paths(folder_ / "model/").root, folder_ / "model.partial");
}

}  // namespace
}  // namespace sluice
