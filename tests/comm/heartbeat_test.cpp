#include "comm/communicator.hpp"
#include "comm/heartbeat_star.hpp"
#include "comm/heartbeat_verdict.hpp"
#include "comm/rank_state.hpp"
#include "comm/siphash.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace sluice::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr double kNow = 1000;
constexpr double kLimit = 300;

RankNews news(const RankState& state) {
    RankNews one;
    one.who = "host n, pid 1";
    one.report = report_of(state);
    one.heard = kNow;
    return one;
}

RankNews computing(double idle) { return news({.activity = "computing", .step = 17, .idle = idle}); }

RankNews in(const char* collective, std::uint64_t number, double idle, std::uint64_t bytes = 8,
            std::uint32_t group = 0) {
    RankState state;
    state.step = 17;
    state.collective = collective;
    state.number = number;
    state.bytes = bytes;
    state.group = group;
    state.idle = idle;
    return news(state);
}

// "" when the job may go on.
std::string judge(const std::vector<RankNews>& all, double now = kNow) {
    return verdict(all, now, kLimit).value_or("");
}

TEST(Verdict, NothingOfRanksThatMove) {
    EXPECT_EQ(judge({computing(1), in("all_gather", 5, 200), computing(290)}), "");
    EXPECT_EQ(judge({in("all_gather", 5, 1), in("all_gather", 5, 290)}), "");
}

TEST(Verdict, NamesTheDead) {
    std::vector<RankNews> all{computing(0), in("all_reduce_sum", 5120, 0), computing(0)};
    all[1].who = "host n2, pid 123";
    all[1].link = RankNews::Link::Lost;
    EXPECT_EQ(judge(all, kNow + 0.5),
              "rank 1 of 3 (host n2, pid 123) died; last heard of 0.5 s before: in step 17, in "
              "all_reduce_sum (number 5120)");
    all[1] = news({.activity = "loading weights"});
    all[1].link = RankNews::Link::Lost;
    EXPECT_EQ(judge(all), "rank 1 of 3 (host n, pid 1) died; last heard of 0.0 s before: loading weights");
}

TEST(Verdict, NamesTheSilent) {
    std::vector<RankNews> all{computing(0), computing(0)};
    all[1].heard = kNow - kLimit;
    EXPECT_EQ(judge(all), "");
    EXPECT_THAT(judge(all, kNow + 1), HasSubstr("rank 1 of 2 (host n, pid 1) is silent since 301 s"));
    all[1].link = RankNews::Link::Left;
    EXPECT_EQ(judge(all, kNow + 1), "");
}

TEST(Verdict, NamesWhoHangsWhileOthersWait) {
    const RankNews waiting = in("all_reduce_sum", 5120, 301);
    EXPECT_EQ(judge({waiting, computing(301), waiting, waiting}),
              "rank 1 of 4 (host n, pid 1) hangs: in step 17, computing, for 301 s; ranks 0, 2, 3 in "
              "all_reduce_sum (number 5120)");
    EXPECT_EQ(judge({waiting, computing(299), waiting, waiting}), "");
    EXPECT_THAT(judge({waiting, computing(299), waiting}, kNow + 2), HasSubstr("rank 1 of 3"));
    EXPECT_EQ(judge({computing(301), computing(1)}), "") << "nobody waits";
}

TEST(Verdict, LetsInputTakeItsTime) {
    RankNews reading = news({.activity = "waiting for input", .open_ended = true, .idle = 5000});
    EXPECT_EQ(judge({reading, in("broadcast", 9, 5000)}), "");
    reading.report.open_ended = 0;
    EXPECT_THAT(judge({reading, in("broadcast", 9, 5000)}), HasSubstr("waiting for input"));
}

TEST(Verdict, NamesADisagreement) {
    EXPECT_EQ(
        judge({in("broadcast", 88, 301), in("all_gather", 87, 301, 4), in("broadcast", 88, 301)}),
        "the ranks disagree: ranks 0, 2 in broadcast (number 88, 8 bytes), rank 1 in all_gather (number "
        "87, 4 bytes)");
    EXPECT_EQ(judge({in("broadcast", 88, 299), in("all_gather", 87, 301)}), "");
}

// Calls of one number that differ will never meet: no use in waiting for the limit.
TEST(Verdict, NamesAProvenDisagreementSoon) {
    EXPECT_EQ(judge({in("broadcast", 88, 3), in("barrier", 88, 3, 0)}),
              "the ranks disagree: rank 0 in broadcast (number 88, 8 bytes), rank 1 in barrier (number 88)");
    EXPECT_THAT(judge({in("broadcast", 88, 3, 8), in("broadcast", 88, 3, 9)}), HasSubstr("9 bytes"));
    EXPECT_EQ(judge({in("broadcast", 88, 3), in("barrier", 88, 1, 0)}), "");
    EXPECT_EQ(judge({in("broadcast", 88, 3), in("barrier", 89, 3, 0)}), "");
}

// A report that is late says only where its rank was: both must have spoken since they came to differ.
TEST(Verdict, TakesNobodysWordForADisagreementOnce) {
    const HeartbeatReport here = in("broadcast", 88, 3).report;
    const HeartbeatReport there = in("barrier", 88, 3, 0).report;
    std::vector<RankNews> all{in("broadcast", 87, 3), in("barrier", 87, 3, 0)};
    take_report(all[0], here, kNow);
    take_report(all[1], there, kNow + 5);
    EXPECT_EQ(judge(all, kNow + 5), "");
    take_report(all[1], there, kNow + 6);
    EXPECT_EQ(judge(all, kNow + 6), "") << "rank 0 may have gone on";
    take_report(all[0], here, kNow + 6);
    EXPECT_THAT(judge(all, kNow + 6), HasSubstr("the ranks disagree"));
}

TEST(Verdict, ComparesOnlyWithinAGroup) {
    EXPECT_EQ(judge({in("broadcast", 88, 3), in("barrier", 88, 3, 0, 1)}), "");
    EXPECT_THAT(judge({in("broadcast", 88, 301), in("barrier", 80, 301, 0, 1)}), HasSubstr("network"));
}

TEST(Verdict, TellsANetworkThatHangs) {
    EXPECT_EQ(judge({in("barrier", 8, 400, 0), in("barrier", 8, 400, 0)}),
              "nothing came through between the ranks for 300 s, the network hangs: ranks 0, 1 in barrier "
              "(number 8)");
}

TEST(Verdict, TellsOfRanksThatLeftTheOthersWaiting) {
    RankNews gone = computing(0);
    gone.link = RankNews::Link::Left;
    std::vector<RankNews> all{in("barrier", 8, 301, 0), gone, gone, gone};
    EXPECT_EQ(judge(all), "") << "they have only just left";
    for (std::size_t rank = 1; rank < all.size(); ++rank) all[rank].heard = kNow - 301;
    EXPECT_EQ(judge(all), "ranks 1-3 ended, but others wait: rank 0 in barrier (number 8)");
    EXPECT_EQ(judge({all[1], all[2]}), "");
}

TEST(RankState, TellsWhatThisProcessDoes) {
    EXPECT_EQ(std::string(rank_state().activity), "starting");
    const double before = seconds_communicating();
    {
        const Activity outer("loading weights");
        {
            const Activity inner("waiting for input", Activity::Kind::OpenEnded);
            EXPECT_EQ(std::string(rank_state().activity), "waiting for input");
            EXPECT_TRUE(rank_state().open_ended);
        }
        EXPECT_EQ(std::string(rank_state().activity), "loading weights");
        EXPECT_FALSE(rank_state().open_ended);
    }
    note_step(3);
    EXPECT_EQ(rank_state().step, 3);
    EXPECT_EQ(seconds_communicating(), before);
}

TEST(RankState, IsOfOneMoment) {
    constexpr std::uint64_t kCalls = 200'000;
    std::atomic<bool> done = false;
    { const InCollective first("odd", 0, 1, 1); }  // in place of notes that others left
    std::thread worker([&] {
        for (std::uint64_t call = 1; call <= kCalls; ++call)
            const InCollective here(call % 2 == 0 ? "even" : "odd", 0, call, call);
        done = true;
    });
    std::uint64_t torn = 0;
    while (!done) {
        const RankState seen = rank_state();
        const bool right_name = seen.collective == nullptr ||
                                std::string_view(seen.collective) == (seen.number % 2 == 0 ? "even" : "odd");
        if (seen.bytes != seen.number || !right_name) ++torn;
    }
    worker.join();
    EXPECT_EQ(torn, 0U);
}

// Tells in the midst of a collective what the notes are.
class Noting final : public Communicator {
public:
    explicit Noting(std::vector<RankState>& notes) : notes_(notes) {}
    int rank() const override { return 0; }
    int size() const override { return 1; }
    void all_reduce_sum(std::span<float>) override { note(); }
    void all_gather(std::span<const std::byte>, std::span<std::byte>) override { note(); }
    void broadcast(std::span<std::byte>, int) override { note(); }
    void barrier() override { note(); }
    std::unique_ptr<Communicator> split(int, int) override {
        note();
        return std::make_unique<Noting>(notes_);
    }

private:
    void end_job(int) override {}
    void note() { notes_.push_back(rank_state()); }
    std::vector<RankState>& notes_;
};

TEST(Watched, NotesEachCollective) {
    std::vector<RankState> notes;
    const auto watched = make_watched(std::make_unique<Noting>(notes));
    std::vector<float> floats(3);
    std::vector<std::byte> bytes(5);
    watched->all_reduce_sum(floats);
    watched->all_gather(bytes, bytes);
    watched->broadcast(bytes, 0);
    watched->barrier();
    const auto part = watched->split(0, 0);
    const auto other = watched->split(1, 0);
    part->barrier();
    other->barrier();
    const std::vector<std::string> names{"all_reduce_sum", "all_gather", "broadcast", "barrier",
                                         "split",          "split",      "barrier",   "barrier"};
    const std::vector<std::uint64_t> sizes{12, 5, 5, 0, 0, 0, 0, 0};
    const std::vector<std::uint64_t> numbers{1, 2, 3, 4, 5, 6, 1, 1};
    ASSERT_EQ(notes.size(), names.size());
    for (std::size_t i = 0; i < notes.size(); ++i) {
        EXPECT_EQ(notes[i].collective, names[i]);
        EXPECT_EQ(notes[i].bytes, sizes[i]) << i;
        EXPECT_EQ(notes[i].number, numbers[i]) << i;
    }
    EXPECT_EQ(notes[5].group, 0U);
    EXPECT_NE(notes[6].group, 0U);
    EXPECT_NE(notes[6].group, notes[7].group);
    EXPECT_EQ(rank_state().collective, nullptr);
    EXPECT_GT(seconds_communicating(), 0);
}

// The authors' vectors: bytes 0, 1, 2, ... as key and as input.
TEST(SipHash, IsTheAuthors) {
    const SipKey key{0x0706050403020100U, 0x0f0e0d0c0b0a0908U};
    EXPECT_EQ(siphash(key, {}), 0x726fdb47dd0e0e31U);
    EXPECT_EQ(siphash(key, std::span(key).first(1)), 0x93f5f5799a932462U);
    EXPECT_EQ(siphash(key, key), 0x3f2acc7f57c29bdbU);
}

TEST(Star, LinksEveryRankWithTheFirst) {
    run_on_threads(4, [](Communicator& ranks) {
        std::string problem;
        auto links = connect_star(ranks, 10, problem);
        ASSERT_EQ(problem, "");
        ASSERT_EQ(links.size(), ranks.rank() == 0 ? 4U : 1U);
        for (std::size_t peer = 0; ranks.rank() == 0 && peer < links.size(); ++peer) {
            HeartbeatMessage message;
            message.rank = static_cast<std::int32_t>(peer);
            links[peer].send(message);
        }
        while (ranks.rank() != 0 && links[0].is_open()) {
            wait_for_any(links, -1, 10);
            if (const auto message = links[0].receive()) {
                EXPECT_EQ(message->kind, HeartbeatMessage::Kind::Report);
                EXPECT_EQ(message->rank, ranks.rank());
                break;
            }
        }
        EXPECT_TRUE(links.back().is_open());
        ranks.barrier();
    });
}

// Tells a rank another key than rank 0 has.
class WrongKey final : public Communicator {
public:
    explicit WrongKey(Communicator& inner) : inner_(inner) {}
    int rank() const override { return inner_.rank(); }
    int size() const override { return inner_.size(); }
    void all_reduce_sum(std::span<float> inout) override { inner_.all_reduce_sum(inout); }
    void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
        inner_.all_gather(mine, all);
    }
    // "PORT KEY KEY ADDRESS ..."
    void broadcast(std::span<std::byte> bytes, int root) override {
        inner_.broadcast(bytes, root);
        const auto blank = std::ranges::find(bytes, std::byte{' '});
        if (rank() == 2 && blank != bytes.end())
            blank[1] = blank[1] == std::byte{'1'} ? std::byte{'2'} : std::byte{'1'};
    }
    void barrier() override { inner_.barrier(); }
    std::unique_ptr<Communicator> split(int color, int key) override { return inner_.split(color, key); }

private:
    void end_job(int code) override { inner_.abort(code); }
    Communicator& inner_;
};

TEST(Star, KeepsStrangersOut) {
    run_on_threads(3, [](Communicator& ranks) {
        WrongKey wrong(ranks);
        std::string problem;
        EXPECT_TRUE(connect_star(wrong, 1, problem).empty());
        EXPECT_THAT(problem, HasSubstr("rank 2 (host "));
    });
}

}  // namespace
}  // namespace sluice::test
