#include "comm/collective_cases.hpp"

#include "comm/collectives.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <numeric>
#include <random>
#include <string>

namespace sluice::test {
namespace {

// Values of very different sizes: any other order of additions shows in the bits.
std::vector<float> values_of(int rank, std::size_t count) {
    std::mt19937 random(static_cast<std::uint32_t>(1000 * count) + static_cast<std::uint32_t>(rank));
    std::uniform_real_distribution<float> exponent(-20, 20);
    std::vector<float> values(count);
    for (float& value : values) {
        const float magnitude = std::exp2(exponent(random));
        value = (random() & 1U) != 0 ? magnitude : -magnitude;
    }
    return values;
}

// The definition, level by level, one element after the other.
std::vector<float> serial_tree_sum(int ranks, std::size_t count) {
    std::vector<std::vector<float>> level;
    level.reserve(static_cast<std::size_t>(ranks));
    for (int rank = 0; rank < ranks; ++rank) level.push_back(values_of(rank, count));
    while (level.size() > 1) {
        std::vector<std::vector<float>> next;
        for (std::size_t i = 0; i + 1 < level.size(); i += 2) {
            next.emplace_back(count);
            for (std::size_t k = 0; k < count; ++k) next.back()[k] = level[i][k] + level[i + 1][k];
        }
        if (level.size() % 2 == 1) next.push_back(level.back());
        level = std::move(next);
    }
    return level.front();
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

void sums_in_the_fixed_tree(Communicator& comm) {
    // Around the switches from small to large sums (2048 by messages, 4096 in shared memory) and beyond one
    // piece (1 << 20, 1 << 16), too.
    for (const std::size_t count :
         {0, 1, 2, 7, 1000, 2048, 2049, 4096, 4097, 5001, (1 << 16) + 5, 1 << 20, (1 << 20) + 13}) {
        std::vector<float> values = values_of(comm.rank(), count);
        comm.all_reduce_sum(values);
        EXPECT_TRUE(same_bits(values, serial_tree_sum(comm.size(), count)))
            << count << " elements, rank " << comm.rank() << " of " << comm.size();
    }
}

void sums_infinities_and_zeros(Communicator& comm) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    std::vector<float> values = {-0.0F, kInfinity, comm.rank() == 0 ? kInfinity : 1.0F, 0.0F};
    comm.all_reduce_sum(values);
    EXPECT_TRUE(same_bits(values, {-0.0F, kInfinity, kInfinity, 0.0F}));
}

void gathers_in_rank_order(Communicator& comm) {
    for (const std::size_t count : {0, 1, 5, 100'000}) {
        std::vector<std::int32_t> mine(count);
        std::iota(mine.begin(), mine.end(), 7 * comm.rank());
        std::vector<std::int32_t> all(count * static_cast<std::size_t>(comm.size()), -1);
        comm.all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)));
        for (int rank = 0; rank < comm.size(); ++rank)
            for (std::size_t i = 0; i < count; i += 997)
                ASSERT_EQ(all[static_cast<std::size_t>(rank) * count + i], 7 * rank + static_cast<int>(i));
    }
}

void broadcasts_from_every_root(Communicator& comm) {
    for (int root = 0; root < comm.size(); ++root) {
        const std::size_t size = 3000 * static_cast<std::size_t>(root);
        std::vector<std::byte> bytes;
        if (comm.rank() == root) bytes.assign(size, static_cast<std::byte>(root));
        broadcast_bytes(comm, bytes, root);
        EXPECT_EQ(bytes.size(), size);
        EXPECT_EQ(std::ranges::count(bytes, static_cast<std::byte>(root)), std::ssize(bytes));
    }
}

void gathers_strings_of_any_length(Communicator& comm) {
    const auto text_of = [](int rank) {
        return std::string(static_cast<std::size_t>(rank * rank), 'a') + std::string("\0!", 2);
    };
    const auto all = gather_strings(comm, text_of(comm.rank()));
    ASSERT_EQ(std::ssize(all), comm.size());
    for (int rank = 0; rank < comm.size(); ++rank)
        EXPECT_EQ(all[static_cast<std::size_t>(rank)], text_of(rank));
    for (const std::string& each : gather_strings(comm, "")) EXPECT_EQ(each, "");
}

void splits_by_color_and_key(Communicator& comm) {
    const int color = comm.rank() % 2;
    const auto part = comm.split(color, -comm.rank());  // keys turn the order around
    const int members = (comm.size() + 1 - color) / 2;
    ASSERT_EQ(part->size(), members);
    EXPECT_EQ(part->rank(), members - 1 - comm.rank() / 2);

    std::vector<float> sum = {static_cast<float>(comm.rank()), 1};
    part->all_reduce_sum(sum);
    EXPECT_EQ(sum[0], static_cast<float>(members * (members - 1) + color * members));
    EXPECT_EQ(sum[1], static_cast<float>(members));

    const auto half = part->split(0, 0);  // a part of a part, equal keys: same order
    EXPECT_EQ(half->rank(), part->rank());
    half->barrier();
    comm.barrier();
}

// One after the other without a pause, so that fast ranks begin while slow ones still read.
void mixes_calls_of_any_size(Communicator& comm) {
    std::mt19937 random(7);  // the same on all ranks
    const auto below = [&](unsigned limit) { return static_cast<std::size_t>(random() % limit); };
    const auto ranks = static_cast<std::size_t>(comm.size());
    for (int call = 0; call < 300; ++call) {
        const std::size_t count = below(2) == 0 ? below(9) : below(call % 50 == 0 ? 200'000 : 3000);
        const std::size_t kind = below(4);
        const int root = static_cast<int>(below(static_cast<unsigned>(comm.size())));
        const auto stamp = static_cast<std::uint32_t>(call * 100);
        if (kind == 0) {
            std::vector<float> values = values_of(comm.rank(), count);
            comm.all_reduce_sum(values);
            ASSERT_TRUE(same_bits(values, serial_tree_sum(comm.size(), count))) << "call " << call;
        } else if (kind == 1) {
            const std::vector<std::uint32_t> mine(count, stamp + static_cast<std::uint32_t>(comm.rank()));
            std::vector<std::uint32_t> all(count * ranks);
            comm.all_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)));
            for (std::size_t i = 0; i < all.size(); ++i)
                ASSERT_EQ(all[i], stamp + i / count) << "call " << call;
        } else if (kind == 2) {
            std::vector<std::uint32_t> values(count, comm.rank() == root ? stamp : 0);
            comm.broadcast(std::as_writable_bytes(std::span(values)), root);
            ASSERT_EQ(std::ranges::count(values, stamp), std::ssize(values)) << "call " << call;
        } else {
            comm.barrier();
        }
    }
}

// The error that run_together throws on this rank; no error: "".
std::string outcome(Communicator& comm, ExitCode code, const std::function<void()>& work) {
    try {
        run_together(comm, "the phase", work);
    } catch (const AgreedError& error) {
        EXPECT_EQ(error.code(), code);
        return error.what();
    }
    return "";
}

void agrees_on_failures(Communicator& comm) {
    const int last = comm.size() - 1;
    int runs = 0;
    EXPECT_EQ(outcome(comm, ExitCode::Complete, [&] { ++runs; }), "");
    EXPECT_EQ(runs, 1);

    const auto last_fails = [&] {
        require(comm.rank() != last, ExitCode::Checkpoint, "slice {} is torn", last);
    };
    const std::string prefix = last == 0 ? "" : fmt::format("rank {} of {}: ", last, comm.size());
    EXPECT_EQ(outcome(comm, ExitCode::Checkpoint, last_fails),
              fmt::format("{}slice {} is torn", prefix, last));

    const auto all_fail_alike = [] { fail(ExitCode::File, "no such folder"); };
    EXPECT_EQ(outcome(comm, ExitCode::File, all_fail_alike), "no such folder");

    const auto each_fails = [&] {
        fail(comm.rank() == 0 ? ExitCode::File : ExitCode::Usage, "mine: {}", comm.rank());
    };
    EXPECT_EQ(outcome(comm, ExitCode::File, each_fails),
              last == 0 ? "mine: 0" : fmt::format("rank 0 of {}: mine: 0", comm.size()));

    const auto no_memory = [] { throw std::bad_alloc(); };
    EXPECT_EQ(outcome(comm, ExitCode::Internal, no_memory), "the phase: std::bad_alloc");
    EXPECT_EQ(outcome(comm, ExitCode::Complete, [] {}), "");
}

// What the checked ranks say when `call` differs between them.
std::string complaint(const std::function<void()>& call) {
    try {
        call();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::Internal);
        return error.what();
    }
    return "";
}

void checked_names_the_disagreement(Communicator& comm) {
    const auto checked = make_checked(comm);
    sums_infinities_and_zeros(*checked);
    splits_by_color_and_key(*checked);
    if (comm.size() == 1) return;
    const bool odd = comm.rank() == 1;

    std::vector<float> values(odd ? 3 : 4);
    EXPECT_EQ(complaint([&] { checked->all_reduce_sum(values); }),
              "the ranks disagree: rank 0 calls all_reduce_sum of 16 bytes, rank 1 calls all_reduce_sum of "
              "12 bytes");
    EXPECT_EQ(complaint([&] { odd ? checked->barrier() : checked->all_reduce_sum(values); }),
              "the ranks disagree: rank 0 calls all_reduce_sum of 16 bytes, rank 1 calls barrier");
    std::vector<std::byte> bytes(5);
    EXPECT_EQ(complaint([&] { checked->broadcast(bytes, odd ? 1 : 0); }),
              "the ranks disagree: rank 0 calls broadcast of 5 bytes from rank 0, rank 1 calls broadcast of "
              "5 bytes "
              "from rank 1");
    EXPECT_EQ(complaint([&] { checked->barrier(); }), "");
}

constexpr CollectiveCase kCases[] = {
    {"sums_in_the_fixed_tree", sums_in_the_fixed_tree},
    {"sums_infinities_and_zeros", sums_infinities_and_zeros},
    {"gathers_in_rank_order", gathers_in_rank_order},
    {"broadcasts_from_every_root", broadcasts_from_every_root},
    {"gathers_strings_of_any_length", gathers_strings_of_any_length},
    {"mixes_calls_of_any_size", mixes_calls_of_any_size},
    {"splits_by_color_and_key", splits_by_color_and_key},
    {"agrees_on_failures", agrees_on_failures},
    {"checked_names_the_disagreement", checked_names_the_disagreement},
};

}  // namespace

std::span<const CollectiveCase> collective_cases() { return kCases; }

}  // namespace sluice::test
