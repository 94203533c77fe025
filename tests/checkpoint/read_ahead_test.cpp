// Reading ahead: order, memory, errors, early ends; and a checkpoint that many threads read at once.
#include "checkpoint/read_ahead.hpp"
#include "checkpoint/convert.hpp"
#include "checkpoint/models.hpp"
#include "support/scratch_folder.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <thread>

namespace {

std::atomic<int> threads_to_start = -1;  // until pthread_create fails; below 0: it works

}  // namespace

// In the place of the C library's.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                              void* argument) noexcept {
    static const auto real = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
    if (threads_to_start == 0) return EAGAIN;
    if (threads_to_start > 0) --threads_to_start;
    return real(thread, attributes, run, argument);
}

namespace sluice {
namespace {

class ReadingAhead : public testing::Test {
protected:
    void SetUp() override {
        convert_checkpoint(test::tiny_v3(), folder_ / "out", {2, StoredType::Keep, "test"},
                           [](std::uint64_t, std::uint64_t) { return true; });
        checkpoint_ = open_sluice_checkpoint(folder_ / "out");
        for (const TensorSpec& tensor : tensor_catalog(checkpoint_->config())) {
            for (int slice = 0; slice < 2; ++slice) {
                reads_.push_back({tensor, checkpoint_->find(tensor, slice)});
                largest_ = std::max(largest_, memory_bytes(reads_.back().part));
            }
        }
    }
    std::uint64_t total() const {
        std::uint64_t bytes = 0;
        for (const ReadAhead::Read& read : reads_) bytes += read.part.bytes();
        return bytes;
    }
    void expect_same(const TensorSlice& slice, std::size_t at) const {
        const ReadAhead::Read& read = reads_[at];
        const auto own = open_sluice_checkpoint(folder_ / "out");
        const TensorSlice expected = own->read(read.tensor, std::max(read.part.slice, 0));
        ASSERT_EQ(slice.shape, expected.shape) << read.tensor.name;
        ASSERT_TRUE(std::ranges::equal(slice.values, expected.values)) << read.tensor.name;
        ASSERT_TRUE(std::ranges::equal(slice.scales, expected.scales)) << read.tensor.name;
    }

    ScratchFolder folder_;
    std::unique_ptr<SluiceCheckpoint> checkpoint_;
    std::vector<ReadAhead::Read> reads_;
    std::uint64_t largest_ = 0;
};

TEST_F(ReadingAhead, GivesAllPartsInOrder) {
    for (const int threads : {1, 3}) {
        const std::uint64_t before = checkpoint_->bytes_read();
        ReadAhead ahead(*checkpoint_, reads_, threads, 2 * largest_);
        for (std::size_t i = 0; i < reads_.size(); ++i) expect_same(ahead.next(reads_[i].tensor.name), i);
        EXPECT_EQ(ahead.bytes_taken(), total());
        EXPECT_EQ(checkpoint_->bytes_read() - before, total());
    }
}

// Whatever lots are held and however they lie in the ring, twice the largest lot suffices; and nothing that
// is held is read over.
TEST_F(ReadingAhead, LotsThatAreHeldStay) {
    for (const std::size_t lot : {std::size_t{2}, std::size_t{3}, std::size_t{7}}) {
        std::uint64_t most = 0;
        for (std::size_t i = 0; i < reads_.size(); i += lot) {
            std::uint64_t held = 0;
            for (std::size_t j = i; j < std::min(reads_.size(), i + lot); ++j)
                held += std::max<std::uint64_t>(memory_bytes(reads_[j].part), 64);
            most = std::max(most, held);
        }
        ReadAhead ahead(*checkpoint_, reads_, 3, 2 * most);
        for (std::size_t i = 0; i < reads_.size(); i += lot) {
            std::vector<TensorSlice> held;
            for (std::size_t j = i; j < std::min(reads_.size(), i + lot); ++j)
                held.push_back(ahead.next(reads_[j].tensor.name));
            for (std::size_t j = 0; j < held.size(); ++j) expect_same(held[j], i + j);
        }
    }
}

TEST_F(ReadingAhead, SaysWhenWhatIsHeldLeavesNoRoom) {
    ReadAhead ahead(*checkpoint_, reads_, 2, largest_);
    std::vector<TensorSlice> held;
    expect_error(
        [&] {
            for (const ReadAhead::Read& read : reads_) held.push_back(ahead.next(read.tensor.name));
        },
        ExitCode::Internal, {"does not fit beside the parts that are held"});
    EXPECT_LT(held.size(), reads_.size());
}

TEST_F(ReadingAhead, RefusesAnotherOrder) {
    ReadAhead ahead(*checkpoint_, reads_, 2, 2 * largest_);
    EXPECT_THROW((void)ahead.next(reads_.back().tensor.name), Error);
}

TEST_F(ReadingAhead, MayEndAnywhere) {
    for (std::size_t taken = 0; taken < reads_.size(); taken += 5) {
        TensorSlice last;
        {
            ReadAhead ahead(*checkpoint_, reads_, 2, 2 * largest_);
            for (std::size_t i = 0; i < taken; ++i) {
                last = {};
                last = ahead.next(reads_[i].tensor.name);
            }
        }
        if (taken > 0) expect_same(last, taken - 1);  // outlives the reader
    }
}

TEST_F(ReadingAhead, MakesDoWithTheThreadsItGets) {
    threads_to_start = 1;
    {
        ReadAhead ahead(*checkpoint_, reads_, 4, 2 * largest_);
        for (std::size_t i = 0; i < reads_.size(); ++i) expect_same(ahead.next(reads_[i].tensor.name), i);
    }
    EXPECT_EQ(threads_to_start, 0);
    EXPECT_THROW(ReadAhead(*checkpoint_, reads_, 4, 2 * largest_), std::system_error);
    threads_to_start = -1;
}

// What came before the altered tensor is given; the error comes at its place, to the thread that asks.
TEST_F(ReadingAhead, ErrorsComeInTheirPlace) {
    std::size_t place = reads_.size() / 2;
    while (reads_[place].part.bytes() == 0) ++place;
    ReadAhead::Read& altered = reads_[place];
    altered.part.values.checksum = "0123456789abcdef";
    for (const int threads : {1, 4}) {
        ReadAhead ahead(*checkpoint_, reads_, threads, 3 * largest_);
        for (std::size_t i = 0; i < place; ++i) expect_same(ahead.next(reads_[i].tensor.name), i);
        for (int again = 0; again < 2; ++again) {
            expect_error([&] { (void)ahead.next(altered.tensor.name); }, ExitCode::Checkpoint,
                         {altered.tensor.name + " is altered", "0123456789abcdef"});
        }
    }
}

TEST_F(ReadingAhead, ThreadsShareACheckpoint) {
    const auto shared = open_sluice_checkpoint(folder_ / "out");  // no slice is open yet
    {
        std::vector<std::jthread> threads;
        for (int thread = 0; thread < 4; ++thread) {
            threads.emplace_back([&, thread] {
                for (std::size_t i = 0; i < reads_.size(); ++i) {
                    const std::size_t at = (i + static_cast<std::size_t>(thread) * 11) % reads_.size();
                    const ReadAhead::Read& read = reads_[at];
                    const TensorSlice slice = shared->read(read.tensor, std::max(read.part.slice, 0));
                    EXPECT_EQ(slice.values.size(), read.part.values.bytes);
                }
            });
        }
    }
    EXPECT_EQ(shared->bytes_read(), 4 * total());
}

}  // namespace
}  // namespace sluice
