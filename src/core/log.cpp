#include "core/log.hpp"

#include "core/error.hpp"

#include <cstdio>
#include <mutex>

namespace sluice {
namespace {

struct LogState {
    std::mutex mutex;
    LogLevel level = LogLevel::Info;
    bool live_line = false;
};

LogState& state() {
    static LogState instance;
    return instance;
}

constexpr std::string_view kPrefix[] = {"error: ", "warning: ", "", "debug: "};

}  // namespace

LogLevel parse_log_level(std::string_view name) {
    if (name == "error") return LogLevel::Error;
    if (name == "warning") return LogLevel::Warning;
    if (name == "info") return LogLevel::Info;
    if (name == "debug") return LogLevel::Debug;
    fail(ExitCode::Usage, "log level '{}' is none of error, warning, info, debug", name);
}

void set_log_level(LogLevel level) {
    LogState& log = state();
    const std::lock_guard lock(log.mutex);
    log.level = level;
}

void set_live_line(bool live) {
    LogState& log = state();
    const std::lock_guard lock(log.mutex);
    log.live_line = live;
}

void log_line(LogLevel level, std::string_view message) {
    LogState& log = state();
    const std::lock_guard lock(log.mutex);
    if (level > log.level) return;
    const std::string line = fmt::format("{}sluice: {}{}\n", log.live_line ? "\r\x1b[K" : "",
                                         kPrefix[static_cast<int>(level)], message);
    log.live_line = false;
    std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace sluice
