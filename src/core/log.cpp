#include "core/log.hpp"

#include "core/error.hpp"

#include <cstdio>
#include <mutex>

namespace sluice {
namespace {

struct LogState {
    std::mutex mutex;
    LogLevel level = LogLevel::Info;
    std::string who;
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

void set_log(LogLevel level, std::string who) {
    LogState& log = state();
    const std::lock_guard lock(log.mutex);
    log.level = level;
    log.who = std::move(who);
}

void log_line(LogLevel level, std::string_view message) {
    LogState& log = state();
    const std::lock_guard lock(log.mutex);
    if (level > log.level) return;
    const std::string line = fmt::format("sluice{}{}: {}{}\n", log.who.empty() ? "" : " ", log.who,
                                         kPrefix[static_cast<int>(level)], message);
    std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace sluice
