// When and why a run on files stops before its end.
#pragma once

#include "core/error.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace sluice {

struct StopOptions {
    double time_limit = 0;        // seconds from the start of the program; 0: none
    double margin = 60;           // seconds before the end of the Slurm job
    std::filesystem::path file;   // stops when it is there; empty: none
    std::int64_t max_errors = 0;  // error records in the output; 0: any number
};

class StopConditions {
public:
    // `job_end`: when the batch system ends the job, in seconds since 1970; none: nobody does.
    StopConditions(const StopOptions& options, std::optional<double> job_end);

    // Whether a condition is met, and from then on always. `signal`: that some rank was asked to stop by, or
    // 0; `errors`: records in the output. Cheap: clocks and files are looked at ten times a second.
    bool met(int signal, std::int64_t errors);

    // Of what was met.
    const std::string& reason() const { return reason_; }  // "the time limit of 2h 05m is over"
    ExitCode code() const { return code_; }

private:
    using Clock = std::chrono::steady_clock;

    std::string find_reason() const;

    StopOptions options_;
    std::optional<double> job_end_;
    Clock::time_point looked_ = {};
    std::string reason_;
    ExitCode code_ = ExitCode::Stopped;
};

// SLURM_JOB_END_TIME, where Slurm or its script has set it. ExitCode::Usage when it is no number.
std::optional<double> slurm_job_end();

}  // namespace sluice
