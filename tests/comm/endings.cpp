// Ends as the first argument says, with the second as the heartbeat's limit in seconds: a job of any number
// of ranks for endings_test.cpp.
#include "comm/collectives.hpp"
#include "comm/device_sums.hpp"
#include "comm/heartbeat.hpp"
#include "comm/rank_state.hpp"

#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace sluice;

// Queues nothing, and is never done.
class StuckDevice final : public SumDevice {
public:
    float* memory(std::size_t count) override { return room(count); }
    float* host_memory(std::size_t count) override { return room(count); }
    void download(const float*, float*, std::size_t) override {}
    void upload(const float*, float*, std::size_t) override {}
    void add_parts(const float*, int, std::size_t, float*) override {}
    void wait() override { ::pause(); }

private:
    float* room(std::size_t count) {
        room_.resize(count);
        return room_.data();
    }
    std::vector<float> room_;
};

// `full`: the queue is, so that queueing waits, too.
class StuckLinks final : public DeviceLinks {
public:
    StuckLinks(const Communicator& ranks, bool full) : ranks_(ranks), full_(full) {}
    int rank() const override { return ranks_.rank(); }
    int size() const override { return ranks_.size(); }
    void all_gather(const float*, float*, std::size_t) override {
        if (full_) ::pause();
    }
    void exchange(const float*, float*, std::size_t) override {}

private:
    const Communicator& ranks_;
    bool full_;
};

// As a step that was recorded: no sum is asked for.
[[noreturn]] void replay_sums(const Communicator& ranks) {
    const auto sums =
        make_linked_sums(std::make_unique<StuckLinks>(ranks, false), std::make_unique<StuckDevice>());
    sums->expect_replay();
    ::pause();
    std::abort();
}

[[noreturn]] void sum_on_devices(const Communicator& ranks, bool full) {
    const auto sums =
        make_linked_sums(std::make_unique<StuckLinks>(ranks, full), std::make_unique<StuckDevice>());
    std::vector<float> values(8);
    sums->all_reduce_sum(values.data(), values.size());
    sums->wait();
    std::abort();
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view ending = argc > 1 ? argv[1] : "";
    const int limit = argc > 2 ? std::atoi(argv[2]) : 300;
    const auto world = make_watched(make_world(WorldKind::Auto, &argc, &argv));
    const int last = world->size() - 1;
    return run_job(*world, [&] {
        world->barrier();
        if (ending == "abort" && world->rank() == last) world->abort(7);
        const Heartbeat heartbeat(*world, std::chrono::seconds(limit));
        world->barrier();
        note_step(17);
        const Activity activity("computing");
        const bool alone = world->rank() == last;
        const bool first = world->rank() == 0;
        if (ending == "lone" && alone) fail(ExitCode::File, "this rank's disk is full");
        if (ending == "agreed")
            run_together(*world, "reading",
                         [&] { require(!alone, ExitCode::Checkpoint, "the slice is torn"); });
        if (ending == "unwind" && alone) throw 1;  // nobody's error: past run_job, past main
        if (ending == "dies" && alone) raise(SIGKILL);
        if (ending == "first-dies" && first) raise(SIGKILL);
        if (ending == "dies-waiting" && first) ::pause();  // nobody comes out of the next collective
        if (ending == "dies-waiting" && alone) {
            std::thread([] {
                while (rank_state().collective == nullptr) std::this_thread::yield();
                raise(SIGKILL);
            }).detach();
        }
        if (ending == "stops" && alone) raise(SIGSTOP);
        if (ending == "first-stops" && first) raise(SIGSTOP);
        if (ending.starts_with("hangs") && alone) ::pause();
        if (ending == "hangs-replaying") {
            if (first) replay_sums(*world);
            sum_on_devices(*world, false);  // of another rank, which has not recorded it
        }
        if (ending == "hangs-summing") sum_on_devices(*world, false);
        if (ending == "hangs-queueing") sum_on_devices(*world, true);
        if (ending == "breaks" && alone) {
            const TransportProbe probe([] { return "a link broke"; });
            ::pause();
        }
        if (ending == "disagrees" && alone) {
            std::array<std::byte, 8> bytes{};
            world->broadcast(bytes, last);  // the root of a small broadcast need not wait
            world->broadcast(bytes, 0);
        }
        if (ending == "leaves" && alone) return ExitCode::Complete;
        if (ending == "quiet" && first) {
            const Activity waiting("waiting for input", Activity::Kind::OpenEnded);
            std::this_thread::sleep_for(std::chrono::seconds(2 * limit + 1));
        }
        if (ending == "slow" && alone) {
            for (int i = 0; i < 30 * limit; ++i) {
                std::this_thread::sleep_for(std::chrono::milliseconds(100));
                note_progress();
            }
        }
        world->barrier();
        return ending == "stopped" ? ExitCode::Stopped : ExitCode::Complete;
    });
}
