// Logs go to standard error, one line each: "sluice: message". Results never do.
#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

namespace sluice {

enum class LogLevel : int { Error, Warning, Info, Debug };

// "error", "warning", "info" or "debug"; anything else is a usage error.
LogLevel parse_log_level(std::string_view name);

// Lines above `level` are dropped.
void set_log_level(LogLevel level);

// A line without end that is redrawn in place stands on the terminal: the next log line clears it first.
void set_live_line(bool live);

void log_line(LogLevel level, std::string_view message);

template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
    log_line(LogLevel::Info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
    log_line(LogLevel::Warning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
    log_line(LogLevel::Debug, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace sluice
