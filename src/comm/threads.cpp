// Ranks that are threads of one process: for tests without a launcher, and for one process with several GPUs.
#include "comm/communicator.hpp"
#include "comm/tree_sum.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>

namespace sluice {
namespace {

// One for all groups that come from one make_threads: an abort must wake whoever waits in any of them.
struct Job {
    std::mutex mutex;
    std::condition_variable changed;
    bool aborted = false;
    int code = 0;
    std::string message;
};

struct Group {
    Group(std::shared_ptr<Job> its_job, int its_size)
        : job(std::move(its_job)), size(its_size), slots(static_cast<std::size_t>(its_size)) {}

    // What a rank shows to the others between two barriers.
    struct Slot {
        std::span<float> floats;
        std::span<const std::byte> bytes;
        std::shared_ptr<Group> group;
    };

    std::shared_ptr<Job> job;
    int size;
    int arrived = 0;
    std::size_t generation = 0;
    std::vector<Slot> slots;
};

class ThreadCommunicator final : public Communicator {
public:
    ThreadCommunicator(std::shared_ptr<Group> group, int rank) : group_(std::move(group)), rank_(rank) {}

    int rank() const override { return rank_; }
    int size() const override { return group_->size; }

    void barrier() override { meet(); }

    // Each rank sums its share of the elements in every rank's buffer, in place: nobody else touches that
    // share.
    void all_reduce_sum(std::span<float> inout) override {
        my_slot().floats = inout;
        meet();
        expect_same_size(inout.size(), "all_reduce_sum",
                         [](const Group::Slot& each) { return each.floats.size(); });
        const Share share = share_of(inout.size(), rank_, size());
        std::vector<float*> parts;
        parts.reserve(group_->slots.size());
        for (const Group::Slot& each : group_->slots) parts.push_back(each.floats.data() + share.first);
        tree_sum(parts, share.count);
        for (std::size_t other = 1; other < parts.size(); ++other)
            std::copy_n(parts[0], share.count, parts[other]);
        part();
    }

    void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
        expect(all.size() == mine.size() * group_->slots.size(),
               "all_gather of {} bytes over {} ranks into {} bytes", mine.size(), size(), all.size());
        my_slot().bytes = mine;
        meet();
        expect_same_size(mine.size(), "all_gather",
                         [](const Group::Slot& each) { return each.bytes.size(); });
        auto out = all.begin();
        for (const Group::Slot& each : group_->slots) out = std::ranges::copy(each.bytes, out).out;
        part();
    }

    void broadcast(std::span<std::byte> bytes, int root) override {
        expect(root >= 0 && root < size(), "broadcast from rank {} of {}", root, size());
        my_slot().bytes = bytes;
        meet();
        expect_same_size(bytes.size(), "broadcast",
                         [](const Group::Slot& each) { return each.bytes.size(); });
        if (rank_ != root) std::ranges::copy(slot(root).bytes, bytes.begin());
        part();
    }

    std::unique_ptr<Communicator> split(int color, int key) override {
        expect(color >= 0, "split with color {}", color);
        struct Wish {
            int color, key, rank;
        };
        const Wish mine{color, key, rank_};
        std::vector<Wish> wishes(group_->slots.size());
        all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(wishes)));
        std::erase_if(wishes, [&](const Wish& wish) { return wish.color != color; });
        std::ranges::sort(wishes, {}, [](const Wish& wish) { return std::tuple(wish.key, wish.rank); });
        const auto place = std::ranges::find(wishes, rank_, &Wish::rank) - wishes.begin();

        if (place == 0)
            my_slot().group = std::make_shared<Group>(group_->job, static_cast<int>(wishes.size()));
        meet();
        auto child =
            std::make_unique<ThreadCommunicator>(slot(wishes.front().rank).group, static_cast<int>(place));
        meet();
        my_slot().group = nullptr;
        return child;
    }

private:
    void end_job(int code) override {
        Job& job = *group_->job;
        const std::lock_guard lock(job.mutex);
        if (!job.aborted) {
            job.aborted = true;
            job.code = code;
            job.message = fmt::format("rank {} of {} ended the job with exit code {}", rank_, size(), code);
            job.changed.notify_all();
        }
        throw Aborted(static_cast<ExitCode>(job.code), job.message);
    }

    // Waits until all ranks are here, or throws when the job is aborted before that.
    void meet() {
        Job& job = *group_->job;
        std::unique_lock lock(job.mutex);
        if (job.aborted) throw Aborted(static_cast<ExitCode>(job.code), job.message);
        const std::size_t generation = arrive();
        job.changed.wait(lock, [&] { return group_->generation != generation || job.aborted; });
        if (group_->generation == generation) throw Aborted(static_cast<ExitCode>(job.code), job.message);
    }

    // Waits until no rank uses another's memory any more. Nothing can throw between meet() and part() on one
    // rank alone, so all get here, even when ranks of another group abort the job meanwhile.
    void part() {
        std::unique_lock lock(group_->job->mutex);
        const std::size_t generation = arrive();
        group_->job->changed.wait(lock, [&] { return group_->generation != generation; });
    }

    std::size_t arrive() {
        const std::size_t generation = group_->generation;
        if (++group_->arrived == group_->size) {
            group_->arrived = 0;
            ++group_->generation;
            group_->job->changed.notify_all();
        }
        return generation;
    }

    // Throws on every rank if it throws on one: each compares with all.
    template <class SizeOf>
    void expect_same_size(std::size_t mine, const char* call, SizeOf size_of_slot) {
        for (int other = 0; other < size(); ++other)
            expect(size_of_slot(slot(other)) == mine, "{} of size {} on rank {}, of size {} on rank {}", call,
                   mine, rank_, size_of_slot(slot(other)), other);
    }

    Group::Slot& slot(int rank) { return group_->slots[static_cast<std::size_t>(rank)]; }
    Group::Slot& my_slot() { return slot(rank_); }

    std::shared_ptr<Group> group_;
    int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_threads(int size) {
    expect(size > 0, "{} ranks", size);
    const auto group = std::make_shared<Group>(std::make_shared<Job>(), size);
    std::vector<std::unique_ptr<Communicator>> ranks;
    ranks.reserve(static_cast<std::size_t>(size));
    for (int rank = 0; rank < size; ++rank)
        ranks.push_back(std::make_unique<ThreadCommunicator>(group, rank));
    return ranks;
}

void run_on_threads(int size, const std::function<void(Communicator&)>& work) {
    const auto ranks = make_threads(size);
    std::vector<std::exception_ptr> failures(ranks.size());
    std::vector<std::exception_ptr> aborted(ranks.size());
    const auto run_rank = [&](std::size_t rank) {
        try {
            try {
                work(*ranks[rank]);
            } catch (const Aborted&) {
                throw;
            } catch (...) {
                failures[rank] = std::current_exception();
                ranks[rank]->abort(static_cast<int>(ExitCode::Internal));
            }
        } catch (const Aborted&) {
            aborted[rank] = std::current_exception();
        }
    };
    {
        std::vector<std::jthread> threads;
        for (std::size_t rank = 0; rank < ranks.size(); ++rank) threads.emplace_back(run_rank, rank);
    }
    for (const auto* errors : {&failures, &aborted})
        for (const std::exception_ptr& error : *errors)
            if (error) std::rethrow_exception(error);
}

}  // namespace sluice
