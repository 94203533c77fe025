// How ranks of one machine meet in memory they share, and what they show each other there.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace sluice {

// A rank fills its slot, all meet, and every rank reads all slots until it meets the others again. There are
// two slots a rank, in turn: who is in the next turn already has not touched what the slowest still reads,
// since a rank begins turn n + 2 only after all others have ended turn n.
class SharedWindow {
public:
    // Both slots of a rank fit into the second cache of a core, and a meeting costs little beside one.
    static constexpr std::size_t kSlotBytes = std::size_t{256} * 1024;
    // Of the memory, which is all zero at first.
    static constexpr std::size_t kRankBytes = 4096 + 2 * kSlotBytes;

    // Crowded: there are fewer CPUs than ranks, so who waits must let others run. `while_waiting` is called
    // before every `nap` of a long wait.
    SharedWindow(std::shared_ptr<std::byte> memory, int rank, int size, bool crowded,
                 std::function<void()> while_waiting,
                 std::chrono::milliseconds nap = std::chrono::milliseconds(10));

    // This rank's, to be filled for the next meet().
    std::byte* slot() const { return slot_at(rank_, turn_ + 1); }
    // What this rank filled before the last meet().
    const std::byte* slot_of(int rank) const { return slot_at(rank, turn_); }

    // Waits until all ranks are here, with equal `call`s. A rank that is here with another counts as absent:
    // then neither goes on, and both can be asked what they wait in.
    void meet(std::uint64_t call);

private:
    struct Place;

    Place& place_of(int rank) const;
    std::byte* slot_at(int rank, std::uint64_t turn) const;
    void arrive(std::uint64_t word);
    void wait_for(int rank, std::uint64_t word) const;
    void sleep_until(int rank, std::uint64_t word) const;

    std::shared_ptr<std::byte> memory_;
    int rank_;
    int size_;
    bool crowded_;
    std::function<void()> while_waiting_;
    std::chrono::milliseconds nap_;
    std::uint64_t turn_ = 0;
};

}  // namespace sluice
