// A file's copy: what it still takes, when it gets its name, whom it waits for, and how it ends.
#include "jobs/file_copy.hpp"

#include "comm/rank_state.hpp"
#include "core/error.hpp"
#include "core/signals.hpp"
#include "jobs/staged_copy.hpp"
#include "support/scratch_folder.hpp"
#include "text/posix_file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<int> lock_problem = 0;           // the errno with which flock fails; 0: it works
std::vector<std::filesystem::path> flushed;  // files of which fdatasync was asked, by the names they had

}  // namespace

// In the place of the C library's.
extern "C" int flock(int fd, int operation) noexcept {
    if (lock_problem == 0) return static_cast<int>(syscall(SYS_flock, fd, operation));
    errno = lock_problem;
    return -1;
}

extern "C" int fdatasync(int fd) {
    flushed.push_back(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd)));
    return static_cast<int>(syscall(SYS_fdatasync, fd));
}

namespace sluice::test {
namespace {

using testing::HasSubstr;

class CopyingAFile : public testing::Test {
protected:
    CopyingAFile() {
        folder_.put("original", content_);
        copy_ = {folder_ / "original", folder_ / "slice", content_.size()};
    }
    void leave_part(std::size_t bytes) const {
        folder_.put("slice.part", std::string(bytes, 'x'));
        const PosixFile part(::open(copy_.partial().c_str(), O_RDWR));
        ASSERT_EQ(syscall(SYS_fsync, part.fd()), 0);  // some file systems count blocks late
    }
    bool is_made() const {
        return content_of(copy_.to) == content_ && !std::filesystem::exists(copy_.partial());
    }

    ScratchFolder folder_;
    std::string content_ = std::string(1 << 20, 'a') + "the end";
    FileCopy copy_;
};

TEST_F(CopyingAFile, TakesTheRoomThatNothingHoldsYet) {
    EXPECT_EQ(copy_.missing(), content_.size());
    leave_part(1 << 19);
    EXPECT_LE(copy_.missing(), content_.size() - (1 << 19));
    leave_part(2 << 20);
    EXPECT_EQ(copy_.missing(), 0U);
    leave_part(0);
    std::filesystem::resize_file(copy_.partial(), content_.size());  // a hole: holds nothing
    EXPECT_EQ(copy_.missing(), content_.size());
    make(copy_);
    EXPECT_EQ(copy_.missing(), 0U);
}

TEST_F(CopyingAFile, WritesOverWhatIsLeft) {
    leave_part(2 << 20);
    make(copy_);
    EXPECT_TRUE(is_made());
}

TEST_F(CopyingAFile, NamesItWhenItIsOnTheDisk) {
    flushed.clear();
    make(copy_);
    EXPECT_EQ(flushed, std::vector{std::filesystem::canonical(folder_.path()) / "slice.part"});
}

TEST_F(CopyingAFile, GivesTheRoomBackOnErrors) {
    copy_.bytes += 1;
    expect_error([&] { make(copy_); }, ExitCode::File, {"original became shorter while it was copied"});
    EXPECT_FALSE(std::filesystem::exists(copy_.partial()));
    EXPECT_FALSE(std::filesystem::exists(copy_.to));
}

TEST_F(CopyingAFile, SaysWhereNothingCanBeLocked) {
    for (const int problem : {ENOSYS, EOPNOTSUPP, ENOLCK}) {
        lock_problem = problem;
        expect_error([&] { make(copy_); }, ExitCode::File,
                     {copy_.partial().string() + " cannot be locked", "a disk of the machine's own"});
    }
    lock_problem = 0;
    make(copy_);
    EXPECT_TRUE(is_made());
}

// Waits until `met`, for a minute at most.
template <class Condition>
bool comes_true(Condition met) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!met()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return true;
}

// The heartbeat finds a job that hangs by what this one does not say.
TEST_F(CopyingAFile, IsProgressWhileTheOtherJobWrites) {
    leave_part(10);
    const PosixFile part(::open(copy_.partial().c_str(), O_RDWR));
    ASSERT_EQ(::flock(part.fd(), LOCK_EX), 0);
    std::jthread waiting([&] { make(copy_); });
    for (int write = 0; write < 2; ++write) {
        EXPECT_TRUE(comes_true([] { return rank_state().idle > 0.5; }));
        ASSERT_EQ(::pwrite(part.fd(), "y", 1, write), 1);
        EXPECT_TRUE(comes_true([] { return rank_state().idle < 0.4; }));
    }
    ASSERT_EQ(::flock(part.fd(), LOCK_UN), 0);
    waiting.join();
    EXPECT_TRUE(is_made());
}

// The other job was quicker: its copy is taken.
TEST_F(CopyingAFile, TakesTheCopyItWaitedFor) {
    leave_part(10);
    PosixFile part(::open(copy_.partial().c_str(), O_RDWR));
    ASSERT_EQ(::flock(part.fd(), LOCK_EX), 0);
    std::jthread waiting([&] { make(copy_); });
    const std::string other(content_.size(), 'b');
    folder_.put("slice", other);
    std::filesystem::remove(copy_.partial());
    part.close();
    waiting.join();
    EXPECT_EQ(content_of(copy_.to), other);
    EXPECT_FALSE(std::filesystem::exists(copy_.partial()));
}

TEST_F(CopyingAFile, EndsOnASignal) {
    leave_part(10);
    const auto stopped = [&] {
        catch_stop_signals();
        std::raise(SIGUSR1);
        try {
            make(copy_);
        } catch (const Error& stop) {
            std::fputs(stop.what(), stderr);
            std::exit(static_cast<int>(stop.code()));
        }
        std::exit(0);
    };
    EXPECT_EXIT(stopped(), testing::ExitedWithCode(75),
                "stopped while .*original was copied to .*same command");
    EXPECT_TRUE(std::filesystem::exists(copy_.partial()));
    EXPECT_FALSE(std::filesystem::exists(copy_.to));
}

TEST(StagingRoom, IsTheSumOfAMachinesRanks) {
    StagingNeed here, other;
    here.machine[0] = 'a';
    other.machine[0] = 'b';
    here.bytes = other.bytes = 1000;
    here.missing = 300;  // the rest is held by interrupted copies
    other.missing = 900;
    const std::vector<StagingNeed> one{here, other}, two{here, other, here};
    EXPECT_NO_THROW(require_room(one, here, 300, "disk"));
    EXPECT_NO_THROW(require_room(two, here, 600, "disk"));
    expect_error([&] { require_room(one, here, 299, "disk"); }, ExitCode::File,
                 {"300 B are to be copied to disk", "1 rank copies", "299 B is free"});
    expect_error([&] { require_room(two, here, 599, "disk"); }, ExitCode::File,
                 {"600 B are to be copied to disk (300 B for this rank, 2 ranks copy)"});
    here.missing = 0;
    EXPECT_NO_THROW(require_room(std::vector{here, here}, here, 0, "disk"));
}

}  // namespace
}  // namespace sluice::test
