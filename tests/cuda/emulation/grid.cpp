#include "cuda/emulation/grid.hpp"

#include "cuda/emulation/fiber.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace sluice::emulation {
namespace {

constexpr unsigned kWarp = 32;
constexpr unsigned kMostThreads = 1024;
constexpr std::size_t kStaticSharedBytes = 48 * 1024;
constexpr std::size_t kSharedBytes = 227 * 1024;  // of a block on Hopper
constexpr std::size_t kGap = 128;                 // between pieces, which keeps them aligned
constexpr std::size_t kAlignment = 1024;          // of the first one

enum class State : std::uint8_t { Ready, AtBarrier, Meeting, Done };

bool same_place(const std::source_location& a, const std::source_location& b) {
    return a.line() == b.line() && a.column() == b.column();
}

struct Copy {
    void* to;
    const void* from;
    int bytes;
    int group;
};

struct Thread {
    Fiber fiber;
    State state = State::Done;
    std::source_location barrier;
    const char* name = nullptr;  // of the meeting
    unsigned mask = 0;
    void* data = nullptr;
    void (*exchange)(const Lanes&) = nullptr;
    std::vector<Copy> copies;  // not done yet
    int groups = 0;            // committed
    bool hides_copies = false;
    bool awaited_launches = false;
};

// A block's shared memory. Under AddressSanitizer, all but the pieces handed out is poisoned.
class SharedMemory {
public:
    void begin_block(std::size_t dynamic_bytes) {
        used_ = 0;
        pieces_.clear();
#ifdef __SANITIZE_ADDRESS__
        __asan_poison_memory_region(memory_.get(), kRoom);
#endif
        dynamic_ = dynamic_bytes == 0 ? nullptr : take(dynamic_bytes);
        dynamic_bytes_ = dynamic_bytes;
    }
    void* dynamic() const { return dynamic_; }
    void* piece(const void* key, std::size_t bytes) {
        for (const auto& [known, at] : pieces_) {
            if (known == key) return at;
        }
        static_bytes_ = pieces_.empty() ? bytes : static_bytes_ + bytes;
        if (static_bytes_ > kStaticSharedBytes || static_bytes_ + dynamic_bytes_ > kSharedBytes)
            fail_thread(fmt::format("{} bytes of static shared memory beside {} dynamic ones", static_bytes_,
                                    dynamic_bytes_));
        return pieces_.emplace_back(key, take(bytes)).second;
    }

private:
    static constexpr std::size_t kRoom = 512 * 1024;

    std::byte* take(std::size_t bytes) {
        std::byte* at = memory_.get() + used_;
        used_ += (bytes + kGap - 1) / kGap * kGap + kGap;
#ifdef __SANITIZE_ADDRESS__
        __asan_unpoison_memory_region(at, bytes);
#endif
        std::memset(at, 0xff, bytes);
        return at;
    }
    struct Free {
        void operator()(std::byte* p) const { ::operator delete (p, std::align_val_t{kAlignment}); }
    };

    std::unique_ptr<std::byte, Free> memory_{
        static_cast<std::byte*>(::operator new (kRoom, std::align_val_t{kAlignment}))};
    std::size_t used_ = 0, static_bytes_ = 0, dynamic_bytes_ = 0;
    void* dynamic_ = nullptr;
    std::vector<std::pair<const void*, std::byte*>> pieces_;
};

class Grid {
public:
    void run(const Launch& launch, const std::function<void()>& thread);
    void block_barrier(const std::source_location& at) {
        hid_copies_ = hid_copies_ || threads_[current_].hides_copies;
        threads_[current_].barrier = at;
        threads_[current_].state = State::AtBarrier;
        Fiber::suspend();
    }
    void meet(const char* name, unsigned mask, void* data, void (*exchange)(const Lanes&));
    void expect_awaited(const char* doing) {
        if (overlaps_ && !current().awaited_launches)
            fail_thread(fmt::format("{} without having waited for the launches before", doing));
    }
    Thread& current() { return threads_[current_]; }
    unsigned number() const { return current_; }
    // Whether a thread of the block came to a barrier before it had shown its copies.
    bool hid_copies() const { return hid_copies_; }
    std::uint64_t blocks() const { return blocks_; }
    SharedMemory& shared() { return shared_; }

private:
    static void run_thread();
    void run_block();
    void release_barrier();
    void all_ready();
    bool all_meet(unsigned warp_begin, const Thread& mine) const;
    void ready(unsigned thread) {
        threads_[thread].state = State::Ready;
        ready_.push_back(thread);
    }
    // In half of the blocks any thread is next; in the others a warp goes as far as it can before the next
    // one begins, as far from step as warps may be.
    unsigned take_next() {
        if (!warp_after_warp_) return take_any(ready_);
        const unsigned next = ready_.back();
        ready_.pop_back();
        return next;
    }
    unsigned take_any(std::vector<unsigned>& from) {
        std::swap(from[random(from.size())], from.back());
        const unsigned taken = from.back();
        from.pop_back();
        return taken;
    }
    std::size_t random(std::size_t below) {  // xorshift: reproducible, and fast enough for every switch
        random_ ^= random_ << 13;
        random_ ^= random_ >> 7;
        random_ ^= random_ << 17;
        return static_cast<std::size_t>((random_ >> 32) * below >> 32);
    }
    std::string standing() const;

    std::vector<Thread> threads_{kMostThreads};
    std::vector<unsigned> ready_;
    std::vector<unsigned> order_;  // of warps, while they become ready
    bool warp_after_warp_ = false;
    unsigned count_ = 0, done_ = 0, current_ = 0;
    bool hid_copies_ = false, overlaps_ = false;
    std::uint64_t blocks_ = 0;
    const std::function<void()>* thread_ = nullptr;
    SharedMemory shared_;
    std::string error_;
    std::uint64_t random_ = 0x9e3779b97f4a7c15U;
};

Grid& the_grid() {
    static Grid grid;
    return grid;
}

void Grid::run(const Launch& launch, const std::function<void()>& thread) {
    const Index &grid = launch.grid, &block = launch.block;
    count_ = block.x * block.y * block.z;
    overlaps_ = launch.overlaps;
    thread_ = &thread;
    place.block_size = block;
    place.grid = grid;
    std::vector<unsigned> blocks(std::size_t{grid.x} * grid.y * grid.z);
    std::iota(blocks.begin(), blocks.end(), 0U);
    while (!blocks.empty()) {
        const unsigned b = take_any(blocks);
        place.block = {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
        shared_.begin_block(launch.dynamic_shared_bytes);
        run_block();
    }
}

void Grid::run_thread() {
    Grid& grid = the_grid();
    try {
        (*grid.thread_)();
        grid.expect_awaited("returns");
    } catch (const std::runtime_error& error) {
        grid.error_ = error.what();
    }
    grid.threads_[grid.current_].state = State::Done;
    ++grid.done_;
    Fiber::suspend(true);
}

void Grid::run_block() {
    done_ = 0;
    ++blocks_;
    ready_.clear();
    error_.clear();
    hid_copies_ = false;
    warp_after_warp_ = random(2) == 0;
    for (unsigned t = 0; t < count_; ++t) {
        threads_[t].fiber.start(&run_thread);
        threads_[t].copies.clear();
        threads_[t].hides_copies = false;
        threads_[t].awaited_launches = false;
    }
    all_ready();
    while (done_ < count_) {
        if (ready_.empty()) release_barrier();
        current_ = take_next();
        const Index& size = place.block_size;
        place.thread = {current_ % size.x, current_ / size.x % size.y, current_ / size.x / size.y};
        threads_[current_].fiber.resume();
        if (!error_.empty()) throw std::runtime_error(error_);
    }
}

// All threads wait for something: for the same barrier, or for ever.
void Grid::release_barrier() {
    for (unsigned t = 0; t < count_; ++t) {
        const Thread& thread = threads_[t];
        if (thread.state != State::AtBarrier || !same_place(thread.barrier, threads_[0].barrier))
            throw std::runtime_error(
                fmt::format("the threads of a block wait for one another for ever: {}", standing()));
    }
    all_ready();
}

// Warps in a random order, and so the lanes of each.
void Grid::all_ready() {
    const unsigned warps = (count_ + kWarp - 1) / kWarp;
    order_.resize(warps);
    std::iota(order_.begin(), order_.end(), 0U);
    while (!order_.empty()) {
        const unsigned begin = take_any(order_) * kWarp;
        const unsigned lanes = std::min(kWarp, count_ - begin), first = static_cast<unsigned>(random(lanes));
        for (unsigned l = 0; l < lanes; ++l) ready(begin + (first + l) % lanes);
    }
}

// Runs of threads that do the same.
std::string Grid::standing() const {
    const auto doing = [&](unsigned t) -> std::string {
        const Thread& thread = threads_[t];
        switch (thread.state) {
            case State::Done: return "returned";
            case State::AtBarrier:
                return fmt::format("at the barrier of {}:{}", thread.barrier.file_name(),
                                   thread.barrier.line());
            case State::Meeting: return fmt::format("in {} with mask {:#010x}", thread.name, thread.mask);
            case State::Ready: break;
        }
        return "ready";
    };
    std::string text;
    for (unsigned begin = 0, end = 0; begin < count_ && text.size() < 2000; begin = end) {
        const std::string what = doing(begin);
        while (end < count_ && doing(end) == what) ++end;
        text += fmt::format("{}threads {}-{} {}", begin == 0 ? "" : "; ", begin, end - 1, what);
    }
    return text;
}

bool Grid::all_meet(unsigned warp_begin, const Thread& mine) const {
    for (unsigned left = mine.mask; left != 0; left &= left - 1) {
        const Thread& other = threads_[warp_begin + static_cast<unsigned>(__builtin_ctz(left))];
        if (other.state != State::Meeting || other.exchange != mine.exchange || other.mask != mine.mask)
            return false;
    }
    return true;
}

void Grid::meet(const char* name, unsigned mask, void* data, void (*exchange)(const Lanes&)) {
    const unsigned begin = current_ / kWarp * kWarp;
    if ((mask >> current_ % kWarp & 1U) == 0)
        fail_thread(fmt::format("{} with mask {:#010x}, which leaves its caller out", name, mask));
    if (count_ - begin < kWarp && mask >> (count_ - begin) != 0)
        fail_thread(fmt::format("{} with mask {:#010x} in a warp of {} threads", name, mask, count_ - begin));
    const unsigned self = current_;
    Thread& mine = threads_[self];
    mine.name = name;
    mine.mask = mask;
    mine.data = data;
    mine.exchange = exchange;
    mine.state = State::Meeting;
    if (!all_meet(begin, mine)) return Fiber::suspend();
    Lanes lanes{};
    for (unsigned l = 0; l < kWarp; ++l) {
        if ((mask >> l & 1U) != 0) lanes[l] = threads_[begin + l].data;
    }
    exchange(lanes);
    for (unsigned l = 0; l < kWarp; ++l) {
        if (lanes[l] != nullptr && begin + l != self) ready(begin + l);
    }
    mine.state = State::Ready;  // it goes on at once
}

}  // namespace

void run_grid(const Launch& launch, const std::function<void()>& thread) {
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    the_grid().run(launch, thread);
}

void fail_thread(const std::string& message) {
    const Index &b = place.block, &t = place.thread;
    throw std::runtime_error(
        fmt::format("block ({}, {}, {}), thread ({}, {}, {}): {}", b.x, b.y, b.z, t.x, t.y, t.z, message));
}
void block_barrier(const std::source_location& at) { the_grid().block_barrier(at); }
void meet(const char* name, unsigned mask, void* data, void (*exchange)(const Lanes& lanes)) {
    the_grid().meet(name, mask, data, exchange);
}
unsigned lane() { return the_grid().number() % kWarp; }
unsigned thread_number() { return the_grid().number(); }
std::uint64_t block_number() { return the_grid().blocks(); }
void* shared_bytes(const void* key, std::size_t bytes) { return the_grid().shared().piece(key, bytes); }
void* dynamic_shared() { return the_grid().shared().dynamic(); }

void copy_later(void* to, const void* from, int bytes) {
    expect_aligned(to, 16);
    if (bytes > 0) expect_aligned(from, 16);
    std::memset(to, 0xff, 16);
    Thread& thread = the_grid().current();
    thread.copies.push_back({to, from, bytes, thread.groups});
}
void commit_copies() { ++the_grid().current().groups; }
void wait_copies(int most_pending) {
    Thread& thread = the_grid().current();
    std::erase_if(thread.copies, [&](const Copy& copy) {
        if (copy.group >= thread.groups - most_pending) return false;
        std::memset(copy.to, 0, 16);
        std::memcpy(copy.to, copy.from, static_cast<std::size_t>(copy.bytes));
        return thread.hides_copies = true;
    });
}
void show_copies() { the_grid().current().hides_copies = false; }
bool copies_are_shown() { return !the_grid().current().hides_copies && !the_grid().hid_copies(); }

void await_launches_before() { the_grid().current().awaited_launches = true; }
void expect_awaited() { the_grid().expect_awaited("touches what launches write,"); }

void expect_aligned(const void* p, std::size_t bytes) {
    if (reinterpret_cast<std::uintptr_t>(p) % bytes != 0)
        fail_thread(fmt::format(
            "{} bytes are read or written at once at an address that is no multiple of it", bytes));
}

}  // namespace sluice::emulation
