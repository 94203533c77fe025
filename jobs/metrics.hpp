// A file that says how a run is going, for dashboards and scripts: rewritten whole every few seconds.
#pragma once

#include "engine/engine.hpp"
#include "engine/progress.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

// How a rank got its weights.
struct RankLoad {
    double seconds = 0;
    std::uint64_t bytes = 0;
};

// Everything about one moment of a run.
struct RunStatus {
    std::string state = "running";  // or "complete", "stopped", "failed"
    double seconds = 0;             // since the weights were there
    std::optional<std::int64_t> total;
    Tally before, now;        // of earlier runs; of this one
    double prefill_rate = 0;  // rows a second since the last time
    double decode_rate = 0;
    double input_seconds = 0;   // reading, waiting for it included; on rank 0
    double output_seconds = 0;  // on rank 0
    std::vector<StepReport> ranks;
    std::vector<RankLoad> loads;  // of each rank
};

// The same numbers for programs and for Prometheus' text-file collector.
std::string to_json(const RunStatus& status);
std::string to_prometheus(const RunStatus& status);

class Metrics {
public:
    // Empty `path`: no metrics. A name that ends in .prom is written for Prometheus, any other as JSON.
    explicit Metrics(std::filesystem::path path) : path_(std::move(path)) {}

    // Whether the last time is five seconds ago.
    bool due() const;
    // Fills in the rates and writes. A file that cannot be written costs a warning, not the run.
    void update(RunStatus status);

private:
    using Clock = std::chrono::steady_clock;

    std::filesystem::path path_;
    Clock::time_point written_ = {};
    Tally last_;
    double last_seconds_ = 0;
    bool warned_ = false;
};

}  // namespace sluice
