#include "comm/rank_state.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

std::int64_t now_ns() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

constexpr double kNanosecond = 1e-9;

// The main thread's notes, with a sequence lock: `writes` is odd while it writes, and a reader that finds it
// odd or changed reads again. Stores release and loads acquire, so a reader that saw something of a write
// also sees that `writes` changed.
struct State {
    std::atomic<std::uint64_t> writes = 0;
    std::atomic<std::int64_t> moved = now_ns();
    std::atomic<const char*> activity = "starting";
    std::atomic<bool> open_ended = false;
    std::atomic<std::int64_t> step = -1;
    std::atomic<const char*> collective = nullptr;
    std::atomic<std::uint32_t> group = 0;
    std::atomic<std::uint64_t> number = 0, bytes = 0;
    std::atomic<std::int64_t> communicating = 0;  // nanoseconds
};

State state;

std::mutex probes_mutex;  // held while one is asked, so that it does not go meanwhile
std::vector<const TransportProbe*> probes;

// What is stored during its life is read as a whole.
class Writing {
public:
    Writing() { state.writes.fetch_add(1, std::memory_order_relaxed); }
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;
    ~Writing() { state.writes.fetch_add(1, std::memory_order_release); }
};

void set_moved(std::int64_t when) { state.moved.store(when, std::memory_order_release); }

void set_activity(const char* what, bool open_ended) {
    const Writing writing;
    set_moved(now_ns());
    state.activity.store(what, std::memory_order_release);
    state.open_ended.store(open_ended, std::memory_order_release);
}

}  // namespace

Activity::Activity(const char* what, Kind kind)
    : before_(state.activity.load(std::memory_order_relaxed)),
      before_open_ended_(state.open_ended.load(std::memory_order_relaxed)) {
    set_activity(what, kind == Kind::OpenEnded);
}

Activity::~Activity() { set_activity(before_, before_open_ended_); }

void note_step(std::int64_t step) {
    const Writing writing;
    set_moved(now_ns());
    state.step.store(step, std::memory_order_release);
}

void note_progress() { set_moved(now_ns()); }

InCollective::InCollective(const char* name, std::uint32_t group, std::uint64_t number, std::size_t bytes,
                           Kind kind)
    : began_(now_ns()), kind_(kind) {
    const Writing writing;
    set_moved(began_);
    state.group.store(group, std::memory_order_release);
    state.number.store(number, std::memory_order_release);
    state.bytes.store(bytes, std::memory_order_release);
    state.collective.store(name, std::memory_order_release);
}

InCollective::~InCollective() {
    const std::int64_t end = now_ns();
    const Writing writing;
    set_moved(end);
    state.collective.store(nullptr, std::memory_order_release);
    if (kind_ == Kind::Waiting) state.communicating.fetch_add(end - began_, std::memory_order_relaxed);
}

TransportProbe::TransportProbe(std::function<std::string()> ask) : ask_(std::move(ask)) {
    const std::lock_guard lock(probes_mutex);
    probes.push_back(this);
}

TransportProbe::~TransportProbe() {
    const std::lock_guard lock(probes_mutex);
    std::erase(probes, this);
}

std::string transport_problem() {
    const std::lock_guard lock(probes_mutex);
    for (const TransportProbe* probe : probes) {
        if (std::string problem = probe->ask_(); !problem.empty()) return problem;
    }
    return "";
}

RankState rank_state() {
    for (;;) {
        const std::uint64_t writes = state.writes.load(std::memory_order_acquire);
        RankState now;
        now.activity = state.activity.load(std::memory_order_acquire);
        now.open_ended = state.open_ended.load(std::memory_order_acquire);
        now.step = state.step.load(std::memory_order_acquire);
        now.collective = state.collective.load(std::memory_order_acquire);
        now.group = state.group.load(std::memory_order_acquire);
        now.number = state.number.load(std::memory_order_acquire);
        now.bytes = state.bytes.load(std::memory_order_acquire);
        now.idle = static_cast<double>(now_ns() - state.moved.load(std::memory_order_acquire)) * kNanosecond;
        if (writes % 2 == 0 && state.writes.load(std::memory_order_relaxed) == writes) return now;
        std::this_thread::yield();
    }
}

double seconds_communicating() {
    return static_cast<double>(state.communicating.load(std::memory_order_relaxed)) * kNanosecond;
}

}  // namespace sluice
