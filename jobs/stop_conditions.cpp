#include "jobs/stop_conditions.hpp"

#include "core/error.hpp"
#include "core/units.hpp"

#include <algorithm>
#include <cstdlib>

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

// As good as the program's: what comes before is parsing the command line.
const Clock::time_point kProgramStart = Clock::now();

double unix_time() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

StopConditions::StopConditions(const StopOptions& options, std::optional<double> job_end)
    : options_(options), job_end_(job_end) {}

bool StopConditions::met(int signal, std::int64_t errors) {
    if (!reason_.empty()) return true;
    const Clock::time_point now = Clock::now();
    if (signal != 0) {
        reason_ = fmt::format("signal {} came", signal);
    } else if (options_.max_errors > 0 && errors >= options_.max_errors) {
        reason_ = fmt::format("there are {} error records (--max-errors {})", errors, options_.max_errors);
        code_ = ExitCode::File;
    } else if (now - looked_ >= std::chrono::milliseconds(100)) {
        looked_ = now;
        reason_ = find_reason();
    }
    return !reason_.empty();
}

std::string StopConditions::find_reason() const {
    const double elapsed = std::chrono::duration<double>(Clock::now() - kProgramStart).count();
    std::error_code unknown;
    if (options_.time_limit > 0 && elapsed >= options_.time_limit)
        return fmt::format("the time limit of {} is over", duration_text(options_.time_limit));
    if (job_end_ && unix_time() >= *job_end_ - options_.margin)
        return fmt::format("the Slurm job ends in {}", duration_text(std::max(*job_end_ - unix_time(), 0.0)));
    if (!options_.file.empty() && std::filesystem::exists(options_.file, unknown))
        return fmt::format("{} is there", options_.file.string());
    return {};
}

std::optional<double> slurm_job_end() {
    const char* text = std::getenv("SLURM_JOB_END_TIME");
    if (text == nullptr || *text == '\0') return std::nullopt;
    char* rest = nullptr;
    const double end = std::strtod(text, &rest);
    require(*rest == '\0' && end > 0, ExitCode::Usage,
            "SLURM_JOB_END_TIME is '{}': expected seconds since 1970, or no such variable", text);
    return end;
}

}  // namespace sluice
