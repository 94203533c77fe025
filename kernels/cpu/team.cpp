#include "kernels/cpu/team.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace sluice::kernels::cpu {
namespace {

// How often a waiting thread looks before it sleeps: some tens of microseconds, longer than the serial pieces
// between two regions of a step. Sleeping costs a wake-up, and never sleeping takes the processor from
// whoever should be computing where processors are shared.
constexpr int kLooks = 1000;

inline void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// Returns once `value` is no longer `old`.
template <class Value>
void wait_while(const std::atomic<Value>& value, Value old) {
    for (int i = 0; i < kLooks; ++i) {
        if (value.load(std::memory_order_acquire) != old) return;
        pause();
    }
    value.wait(old, std::memory_order_acquire);
}

class Team {
public:
    Team() = default;
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;
    ~Team() {
        threads_ = 0;
        begin();
        for (std::thread& worker : workers_) worker.join();
    }

    void run(int threads, Part part, const void* body) {
        while (static_cast<int>(workers_.size()) + 1 < threads) hire();
        part_ = part;
        body_ = body;
        threads_ = threads;
        working_.store(static_cast<std::uint32_t>(workers_.size()), std::memory_order_relaxed);
        begin();
        part(body, 0);
        for (std::uint32_t left; (left = working_.load(std::memory_order_acquire)) > 0;)
            wait_while(working_, left);
    }

private:
    void begin() {
        region_.fetch_add(1, std::memory_order_release);
        region_.notify_all();
    }

    void hire() {
        const auto thread = static_cast<int>(workers_.size()) + 1;
        const std::uint32_t seen = region_.load(std::memory_order_relaxed);
        workers_.emplace_back([this, thread, seen] { work(thread, seen); });
    }

    void work(int thread, std::uint32_t seen);

    std::vector<std::thread> workers_;
    Part part_ = nullptr;
    const void* body_ = nullptr;
    int threads_ = 1;  // of the region; 0: the end
    // On lines of their own: one is written by the caller, the other by the workers.
    alignas(64) std::atomic<std::uint32_t> region_ = 0;
    alignas(64) std::atomic<std::uint32_t> working_ = 0;
};

thread_local bool inside_a_part = false;

struct InsideAPart {
    InsideAPart() { inside_a_part = true; }
    InsideAPart(const InsideAPart&) = delete;
    InsideAPart& operator=(const InsideAPart&) = delete;
    ~InsideAPart() { inside_a_part = false; }
};

void Team::work(int thread, std::uint32_t seen) {
    const InsideAPart inside;
    for (;;) {
        wait_while(region_, seen);
        ++seen;  // the next region begins only when this one is over
        if (threads_ == 0) return;
        if (thread < threads_) part_(body_, thread);
        if (working_.fetch_sub(1, std::memory_order_acq_rel) == 1) working_.notify_one();
    }
}

Team& my_team() {
    thread_local const auto team = std::make_unique<Team>();
    return *team;
}

}  // namespace

void run_team(int threads, Part part, const void* body) {
    if (threads <= 1 || inside_a_part) {
        for (int i = 0; i < threads; ++i) part(body, i);
        return;
    }
    const InsideAPart inside;
    my_team().run(threads, part, body);
}

}  // namespace sluice::kernels::cpu
