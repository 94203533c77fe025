// Streams. What is queued is done at once, or kept in a graph while the stream records. Functions of the host
// are called without the device's turn: they may wait for other threads, who need it.
//
// What a GPU's runtime refuses while a thread records is refused here: to wait for the stream, and to claim,
// release or clear memory. The recording then comes to nothing.
#pragma once

#include "cuda/emulation/memory.hpp"

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sluice::emulation {

struct Work {
    std::function<void()> run;
    bool of_host = false;
};

// What this thread has asked for.
struct Asked {
    std::uint64_t launches = 0;  // of kernels, done or recorded
    std::uint64_t replays = 0;   // of graphs
};
inline thread_local Asked asked;

}  // namespace sluice::emulation

struct CUgraph_st {
    std::vector<sluice::emulation::Work> work;
};
using CUgraphExec_st = CUgraph_st;
struct CUstream_st {
    std::unique_ptr<CUgraph_st> graph;  // that records what is queued; null: it does not
    bool spoilt = false;                // by a call that cannot be recorded
};

namespace sluice::emulation {

// The stream of this thread's that records; null: none.
inline thread_local CUstream_st* recording = nullptr;

inline bool spoils_recording() {
    if (recording != nullptr) recording->spoilt = true;
    return recording != nullptr;
}

inline void run(const std::vector<Work>& all) {
    std::optional<DeviceTurn> turn;
    for (const Work& work : all) {
        if (work.of_host)
            turn.reset();
        else if (!turn)
            turn.emplace();
        work.run();
    }
}

inline void queue(CUstream_st* stream, const std::vector<Work>& all) {
    if (stream == nullptr || stream->graph == nullptr) return run(all);
    std::vector<Work>& recorded = stream->graph->work;
    recorded.insert(recorded.end(), all.begin(), all.end());
}

template <std::invocable Do>
void queue(CUstream_st* stream, const Do& work) {
    queue(stream, {{work}});
}

}  // namespace sluice::emulation
