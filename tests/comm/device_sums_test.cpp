#include "comm/device_sums.hpp"
#include "comm/nccl.hpp"
#include "comm/rank_state.hpp"
#include "comm/shared_devices.hpp"
#include "comm/tree_sum.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <functional>
#include <random>
#include <vector>

namespace sluice::test {
namespace {

// A device whose memory is the host's, and which does nothing of what is queued until somebody waits.
class LazyDevice final : public SumDevice {
public:
    float* memory(std::size_t count) override { return room(count); }
    float* host_memory(std::size_t count) override { return room(count); }
    void download(const float* from, float* to, std::size_t count) override { copy(from, to, count); }
    void upload(const float* from, float* to, std::size_t count) override { copy(from, to, count); }
    void add_parts(const float* parts, int count, std::size_t each, float* into) override {
        queue([=] {
            std::vector<const float*> all;
            for (int part = 0; part < count; ++part)
                all.push_back(parts + static_cast<std::size_t>(part) * each);
            std::vector<float> sum(each);
            tree_sum(all, sum.data(), each);
            std::ranges::copy(sum, into);
        });
    }
    void wait() override {
        while (!queued_.empty()) {
            queued_.front()();
            queued_.pop_front();
        }
    }
    void queue(std::function<void()> work) { queued_.push_back(std::move(work)); }

private:
    float* room(std::size_t count) { return rooms_.emplace_back(count, NAN).data(); }
    void copy(const float* from, float* to, std::size_t count) {
        queue([=] { std::copy_n(from, count, to); });
    }

    std::deque<std::vector<float>> rooms_;
    std::deque<std::function<void()>> queued_;
};

// Between lazy devices, by the ranks' own calls.
class LazyLinks final : public DeviceLinks {
public:
    // `device` must outlive the links.
    LazyLinks(Communicator& ranks, LazyDevice& device) : ranks_(ranks), device_(device) {}
    int rank() const override { return ranks_.rank(); }
    int size() const override { return ranks_.size(); }
    void all_gather(const float* mine, float* all, std::size_t each) override {
        device_.queue([=, this] {
            const std::vector<float> own(mine, mine + each);
            gather(own, {all, each * ranks()});
        });
    }
    void exchange(const float* parts, float* got, std::size_t each) override {
        device_.queue([=, this] {
            const std::vector<float> own(parts, parts + each * ranks());
            std::vector<float> all(own.size() * ranks());
            gather(own, all);
            for (std::size_t other = 0; other < ranks(); ++other)
                std::copy_n(all.data() + other * own.size() + static_cast<std::size_t>(rank()) * each, each,
                            got + other * each);
        });
    }

private:
    std::size_t ranks() const { return static_cast<std::size_t>(size()); }
    void gather(std::span<const float> mine, std::span<float> all) {
        ranks_.all_gather(std::as_bytes(mine), std::as_writable_bytes(all));
    }

    Communicator& ranks_;
    LazyDevice& device_;
};

std::vector<float> values_of(int rank, std::size_t count) {
    std::mt19937 random(static_cast<unsigned>(100 * count) + static_cast<unsigned>(rank));
    std::vector<float> values(count);
    for (float& value : values)
        value = std::ldexp(static_cast<float>(random() % 1000) - 500, static_cast<int>(random() % 40) - 20);
    return values;
}

enum class Way { Linked, Staged, Host };

std::unique_ptr<DeviceSums> make_sums(Communicator& ranks, Way way) {
    if (way == Way::Host) return make_host_sums(ranks);
    auto device = std::make_unique<LazyDevice>();
    if (way == Way::Staged) return make_staged_sums(ranks, std::move(device));
    auto links = std::make_unique<LazyLinks>(ranks, *device);
    return make_linked_sums(std::move(links), std::move(device));
}

// One sum after another, in the queue: the second one is of the first one's results.
void expect_the_hosts_bits(Communicator& ranks, Way way, std::size_t count) {
    const auto sums = make_sums(ranks, way);
    std::vector<float> values = values_of(ranks.rank(), count), want = values;
    sums->all_reduce_sum(values.data(), count);
    sums->all_reduce_sum(values.data(), count);
    sums->wait();
    ranks.all_reduce_sum(want);
    ranks.all_reduce_sum(want);
    EXPECT_EQ(std::memcmp(values.data(), want.data(), count * sizeof(float)), 0)
        << count << " values on rank " << ranks.rank() << " of " << ranks.size();
}

class DeviceSumsOn : public testing::TestWithParam<Way> {};

TEST_P(DeviceSumsOn, HaveTheBitsOfTheHosts) {
    for (const int size : {1, 2, 3, 4, 8}) {
        run_on_threads(size, [](Communicator& ranks) {
            for (const std::size_t count : {0, 1, 7, 32768, 32769, 40000})
                expect_the_hosts_bits(ranks, GetParam(), count);
        });
    }
}

TEST_P(DeviceSumsOn, GoThroughInPieces) {
    run_on_threads(2, [](Communicator& ranks) {
        expect_the_hosts_bits(ranks, GetParam(), (std::size_t{1} << 22) + 70'001);
    });
}

INSTANTIATE_TEST_SUITE_P(Ways, DeviceSumsOn, testing::Values(Way::Linked, Way::Staged, Way::Host),
                         [](const auto& test) {
                             return test.param == Way::Linked   ? "linked"
                                    : test.param == Way::Staged ? "staged"
                                                                : "host";
                         });

TEST(DeviceSums, CanBeRecordedWhereNoHostHasAPartInThem) {
    for (const int size : {1, 2}) {
        run_on_threads(size, [&](Communicator& ranks) {
            EXPECT_TRUE(make_sums(ranks, Way::Linked)->can_be_recorded());
            EXPECT_EQ(make_sums(ranks, Way::Staged)->can_be_recorded(), size == 1);
            EXPECT_EQ(make_sums(ranks, Way::Host)->can_be_recorded(), size == 1);
        });
    }
}

TEST(DeviceSums, AreTheSameOnceConnected) {
    run_on_threads(3, [](Communicator& ranks) {
        const auto sums = make_sums(ranks, Way::Linked);
        sums->connect();
        std::vector<float> values = values_of(ranks.rank(), 40'000), want = values;
        sums->all_reduce_sum(values.data(), values.size());
        sums->wait();
        ranks.all_reduce_sum(want);
        EXPECT_EQ(values, want);
    });
}

// Calls of few and of many values, for links may meet in other ways.
TEST(DeviceSums, ConnectByACallOfEachKind) {
    struct Calls {
        std::vector<std::size_t> gathers, exchanges;
        std::size_t done = 0;
    };
    class Counts final : public DeviceLinks {
    public:
        Counts(LazyDevice& device, Calls& calls) : device_(device), calls_(calls) {}
        int rank() const override { return 0; }
        int size() const override { return 3; }
        void all_gather(const float*, float*, std::size_t each) override {
            calls_.gathers.push_back(each);
            device_.queue([this] { ++calls_.done; });
        }
        void exchange(const float*, float*, std::size_t each) override {
            calls_.exchanges.push_back(each);
            device_.queue([this] { ++calls_.done; });
        }

    private:
        LazyDevice& device_;
        Calls& calls_;
    };
    Calls calls;
    auto device = std::make_unique<LazyDevice>();
    auto links = std::make_unique<Counts>(*device, calls);
    const auto sums = make_linked_sums(std::move(links), std::move(device));
    EXPECT_TRUE(calls.gathers.empty()) << "ranks may not have come so far";
    sums->connect();
    EXPECT_EQ(calls.done, calls.gathers.size() + calls.exchanges.size());
    EXPECT_THAT(calls.gathers, testing::Contains(testing::Lt(10U)));
    EXPECT_THAT(calls.gathers, testing::Contains(testing::Gt(500'000U)));
    EXPECT_THAT(calls.exchanges, testing::ElementsAre(testing::Gt(500'000U)));
    EXPECT_EQ(rank_state().collective, nullptr);
}

// Where ranks wait for one another, the heartbeat must see it: with NCCL also where more is queued.
TEST(DeviceSums, AreOneCollectiveFromTheFirstSumToTheWait) {
    class Looks final : public DeviceLinks {
    public:
        Looks(LazyDevice& device, RankState& seen) : device_(device), seen_(seen) {}
        int rank() const override { return 0; }
        int size() const override { return 2; }
        void all_gather(const float*, float* all, std::size_t each) override {
            device_.queue([=, this] {
                std::fill_n(all, 2 * each, 1.0F);
                seen_ = rank_state();
            });
        }
        void exchange(const float*, float*, std::size_t) override {}

    private:
        LazyDevice& device_;
        RankState& seen_;
    };
    RankState seen;
    auto device = std::make_unique<LazyDevice>();
    auto links = std::make_unique<Looks>(*device, seen);
    const auto sums = make_linked_sums(std::move(links), std::move(device));
    const double before = seconds_communicating();
    std::vector<float> values(3);
    EXPECT_EQ(rank_state().collective, nullptr);
    for (const std::uint64_t number : {1, 2}) {
        for (int sum = 0; sum < 2; ++sum) {
            sums->all_reduce_sum(values.data(), values.size());
            ASSERT_NE(rank_state().collective, nullptr);
            EXPECT_STREQ(rank_state().collective, "device sums");
            EXPECT_EQ(rank_state().number, number);
        }
        sums->leave();
        EXPECT_EQ(rank_state().collective, nullptr) << "the host does something else";
        sums->wait();
        ASSERT_NE(seen.collective, nullptr);
        EXPECT_STREQ(seen.collective, "device sums");
        EXPECT_EQ(seen.number, number) << "the same, whether it was left or not";
        EXPECT_EQ(rank_state().collective, nullptr);
        EXPECT_EQ(values, std::vector<float>(3, 2));
    }
    sums->expect_replay();
    ASSERT_NE(rank_state().collective, nullptr);
    EXPECT_STREQ(rank_state().collective, "device sums");
    EXPECT_EQ(rank_state().number, 3U) << "as on a rank that queues";
    sums->wait();
    EXPECT_EQ(rank_state().collective, nullptr);
    EXPECT_EQ(seconds_communicating(), before) << "how much of it is the device's own work, nobody knows";
}

DeviceRecord record(std::string_view machine, std::string_view host, std::string_view bus) {
    DeviceRecord one;
    std::ranges::copy(machine, one.machine.begin());
    std::ranges::copy(host, one.host.begin());
    std::ranges::copy(bus, one.bus.begin());
    return one;
}

TEST(SharedDevices, NamesWhoSharesAGpu) {
    const auto a0 = record("A", "n1", "0000:17:00"), a1 = record("A", "n1", "0000:65:00"),
               b0 = record("B", "n2", "0000:17:00");
    EXPECT_EQ(shared_devices(std::vector{a0, a1, b0}), "") << "the same place in another machine";
    EXPECT_EQ(shared_devices(std::vector{a0, b0, a1, a0, b0, b0}),
              "ranks 0 and 3 share GPU 0000:17:00 of host n1; ranks 1, 4 and 5 share GPU 0000:17:00 of "
              "host n2");
}

TEST(SharedDevices, CountsWhoSharesAGpu) {
    const auto a = record("A", "n1", "0000:17:00"), b = record("B", "n2", "0000:17:00");
    const std::vector all{a, b, a, a};
    EXPECT_EQ(ranks_sharing(all, 0), 3);
    EXPECT_EQ(ranks_sharing(all, 1), 1);
}

TEST(Nccl, RefusesRanksThatShareAGpu) {
    const auto a = record("A", "n1", "0000:17:00"), b = record("A", "n1", "0000:65:00");
    const std::string obstacle = nccl_obstacle(std::vector{a, b, a});
    if (obstacle.find("built without NCCL") != std::string::npos) {
        EXPECT_EQ(nccl_obstacle(std::vector{a, b}), obstacle);
        return;
    }
    EXPECT_EQ(obstacle, "NCCL needs a GPU for every rank, but ranks 0 and 2 share GPU 0000:17:00 of host n1");
    EXPECT_EQ(nccl_obstacle(std::vector{a, b}), "");
}

TEST(Transports, SayWhatIsWrongAsLongAsTheyLive) {
    EXPECT_EQ(transport_problem(), "");
    {
        std::string wrong;
        const TransportProbe well([] { return ""; });
        const TransportProbe ill([&] { return wrong; });
        EXPECT_EQ(transport_problem(), "");
        wrong = "a cable";
        EXPECT_EQ(transport_problem(), "a cable");
    }
    EXPECT_EQ(transport_problem(), "");
}

}  // namespace
}  // namespace sluice::test
