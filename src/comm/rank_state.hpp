// What this process is doing, for whoever watches it: the heartbeat, and the figures of a run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace sluice {

// What the main thread is busy with until the object goes; then it is what it was before. `what` is a string
// literal that completes "rank 2 is ...": "loading weights", "waiting for input". Open-ended: it may take any
// time, as input does that comes from a person or another program, and is never taken for a hang.
class Activity {
public:
    enum class Kind { Bounded, OpenEnded };
    explicit Activity(const char* what, Kind kind = Kind::Bounded);
    Activity(const Activity&) = delete;
    Activity& operator=(const Activity&) = delete;
    ~Activity();

private:
    const char* before_;
    bool before_open_ended_;
};

// The step of the engine that begins; counted from 0.
void note_step(std::int64_t step);

// Something moved: a layer was loaded, a file was read. Long work between two collectives says so now and
// then, or it passes for a hang.
void note_progress();

// In a collective, from here to the end of the scope. `name` is a string literal; `group` tells
// communicators apart (the same number on all their ranks), `number` counts the communicator's collectives.
class InCollective {
public:
    // Overlapped: with work of which nobody knows how much of the time it takes.
    enum class Kind { Waiting, Overlapped };
    InCollective(const char* name, std::uint32_t group, std::uint64_t number, std::size_t bytes,
                 Kind kind = Kind::Waiting);
    InCollective(const InCollective&) = delete;
    InCollective& operator=(const InCollective&) = delete;
    ~InCollective();

private:
    std::int64_t began_;
    Kind kind_;
};

// A transport that works by itself and may fail between two calls, until the object goes. `ask` says what is
// wrong, or ""; it is called from whatever thread asks transport_problem(), and must not wait.
class TransportProbe {
public:
    explicit TransportProbe(std::function<std::string()> ask);
    TransportProbe(const TransportProbe&) = delete;
    TransportProbe& operator=(const TransportProbe&) = delete;
    ~TransportProbe();

private:
    friend std::string transport_problem();
    std::function<std::string()> ask_;
};

// What is wrong with the first transport that has failed, or "". From any thread.
std::string transport_problem();

struct RankState {
    const char* activity = "starting";
    bool open_ended = false;
    std::int64_t step = -1;            // before the first
    const char* collective = nullptr;  // null: in none
    std::uint32_t group = 0;
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;
    double idle = 0;  // seconds since anything moved: a beginning or an end of the above, or note_progress
};

// All of one moment. From any thread.
RankState rank_state();

// Time this process spent in collectives so far, but for overlapped ones.
double seconds_communicating();

}  // namespace sluice
