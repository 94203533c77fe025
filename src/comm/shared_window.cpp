#include "comm/shared_window.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <utility>

namespace sluice {

// Each line of the cache is written by few: `at` by its rank alone, the rest only when somebody sleeps.
struct SharedWindow::Place {
    alignas(64) std::uint64_t at;  // the turn this rank has come to, and in its low bits the call
    alignas(64) std::uint32_t sleepers;
    std::uint32_t bell;  // rung when the rank arrives and somebody sleeps
};

namespace {

using Clock = std::chrono::steady_clock;
using Word = std::atomic_ref<std::uint64_t>;
using Count = std::atomic_ref<std::uint32_t>;

// A step's ranks are some microseconds apart. Yielding costs a waiting rank little latency and lets others
// run; to be woken costs some tens of microseconds.
constexpr auto kSpinning = std::chrono::microseconds(30);
constexpr auto kYielding = std::chrono::milliseconds(2);
constexpr auto kYieldingCrowded = std::chrono::microseconds(50);

// The low bits of a word tell the call. The others count turns: enough for years of a million a second.
constexpr int kCallBits = 16;

void pause_briefly() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

std::uint64_t word_of(std::uint64_t turn, std::uint64_t call) {
    const std::uint64_t mixed = call * 0x9e3779b97f4a7c15U;
    return turn << kCallBits | mixed >> (64 - kCallBits);
}

// Who is further than `word` has passed its turn, and so found this rank there with the same call.
bool has_come(std::uint64_t& at, std::uint64_t word) {
    const std::uint64_t there = Word(at).load(std::memory_order_acquire);
    return there == word || there >> kCallBits > word >> kCallBits;
}

// Not the private kind: the waiting ranks are other processes.
void futex(std::uint32_t* address, int operation, std::uint32_t value, const timespec* limit) {
    ::syscall(SYS_futex, address, operation, value, limit, nullptr, 0);
}

}  // namespace

SharedWindow::SharedWindow(std::shared_ptr<std::byte> memory, int rank, int size, bool crowded,
                           std::function<void()> while_waiting, std::chrono::milliseconds nap)
    : memory_(std::move(memory)),
      rank_(rank),
      size_(size),
      crowded_(crowded),
      while_waiting_(std::move(while_waiting)),
      nap_(nap) {}

SharedWindow::Place& SharedWindow::place_of(int rank) const {
    return *reinterpret_cast<Place*>(memory_.get() + static_cast<std::size_t>(rank) * kRankBytes);
}

std::byte* SharedWindow::slot_at(int rank, std::uint64_t turn) const {
    static_assert(sizeof(Place) <= 4096);
    return memory_.get() + static_cast<std::size_t>(rank) * kRankBytes + 4096 + turn % 2 * kSlotBytes;
}

void SharedWindow::meet(std::uint64_t call) {
    const std::uint64_t word = word_of(++turn_, call);
    arrive(word);
    for (int distance = 1; distance < size_; ++distance) wait_for((rank_ + distance) % size_, word);
}

// Either a sleeper's count is seen here, or it sees that this rank has come: all four accesses have one
// order.
void SharedWindow::arrive(std::uint64_t word) {
    Place& mine = place_of(rank_);
    Word(mine.at).store(word, std::memory_order_seq_cst);
    if (Count(mine.sleepers).load(std::memory_order_seq_cst) == 0) return;
    Count(mine.bell).fetch_add(1);
    futex(&mine.bell, FUTEX_WAKE, INT32_MAX, nullptr);
}

void SharedWindow::wait_for(int rank, std::uint64_t word) const {
    std::uint64_t& at = place_of(rank).at;
    if (has_come(at, word)) return;
    const Clock::time_point start = Clock::now();
    while (!crowded_ && Clock::now() - start < kSpinning) {
        for (int look = 0; look < 16; ++look) {
            if (has_come(at, word)) return;
            pause_briefly();
        }
    }
    const auto yielding = crowded_ ? Clock::duration(kYieldingCrowded) : Clock::duration(kYielding);
    while (Clock::now() - start < yielding) {
        if (has_come(at, word)) return;
        ::sched_yield();
    }
    sleep_until(rank, word);
}

void SharedWindow::sleep_until(int rank, std::uint64_t word) const {
    Place& place = place_of(rank);
    const timespec nap{nap_.count() / 1000, nap_.count() % 1000 * 1'000'000};
    Count(place.sleepers).fetch_add(1, std::memory_order_seq_cst);
    for (;;) {
        const std::uint32_t bell = Count(place.bell).load();
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (has_come(place.at, word)) break;
        if (while_waiting_) while_waiting_();
        futex(&place.bell, FUTEX_WAIT, bell, &nap);
    }
    Count(place.sleepers).fetch_sub(1);
}

}  // namespace sluice
