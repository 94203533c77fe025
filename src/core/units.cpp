#include "core/units.hpp"

#include "core/error.hpp"

#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace sluice {
namespace {

// A number and what follows it; nothing where there is none, or a negative or endless one.
std::optional<std::pair<double, std::string_view>> number_at(std::string_view text) {
    double number = 0;
    const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc{} || !(number >= 0 && number < 1e9)) return std::nullopt;
    return std::pair(number, text.substr(static_cast<std::size_t>(rest - text.data())));
}

std::optional<double> with_unit(std::string_view text) {
    constexpr std::array<std::pair<std::string_view, double>, 5> kUnits{
        {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}};
    const auto number = number_at(text);
    if (!number) return std::nullopt;
    for (const auto& [name, seconds] : kUnits)
        if (number->second == name) return number->first * seconds;
    return std::nullopt;
}

// Parts between colons, the last of them seconds; days stand before a dash.
std::optional<double> as_clock(std::string_view text) {
    double days = 0;
    if (const std::size_t dash = text.find('-'); dash != std::string_view::npos) {
        const auto number = number_at(text.substr(0, dash));
        if (!number || !number->second.empty()) return std::nullopt;
        days = number->first;
        text.remove_prefix(dash + 1);
    }
    double seconds = 0;
    int parts = 0;
    for (std::optional<std::string_view> rest = text; rest && parts < 4; ++parts) {
        const auto number = number_at(*rest);
        if (!number || (parts > 0 && number->first >= 60)) return std::nullopt;
        seconds = seconds * 60 + number->first;
        if (number->second.empty())
            rest.reset();
        else if (number->second.front() == ':')
            rest = number->second.substr(1);
        else
            return std::nullopt;
    }
    if (parts < 2 || parts > 3) return std::nullopt;
    return days * 86400 + seconds;
}

}  // namespace

std::uint64_t parse_bytes(std::string_view text, std::string_view option) {
    constexpr std::array<std::pair<std::string_view, double>, 10> kUnits{{{"", 1},
                                                                          {"B", 1},
                                                                          {"KiB", 0x1p10},
                                                                          {"MiB", 0x1p20},
                                                                          {"GiB", 0x1p30},
                                                                          {"TiB", 0x1p40},
                                                                          {"KB", 1e3},
                                                                          {"MB", 1e6},
                                                                          {"GB", 1e9},
                                                                          {"TB", 1e12}}};
    double amount = 0;
    const auto [rest, problem] = std::from_chars(text.data(), text.data() + text.size(), amount);
    const std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
    for (const auto& [name, factor] : kUnits) {
        if (problem == std::errc{} && unit == name && amount >= 0 && amount * factor < 0x1p62) {
            return static_cast<std::uint64_t>(amount * factor);
        }
    }
    fail(ExitCode::Usage, "{}: '{}' is no amount of memory; write e.g. 20GiB or 512MiB", option, text);
}

std::string bytes_text(std::uint64_t bytes) {
    constexpr std::array<const char*, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
    auto amount = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (amount >= 1024 && unit + 1 < kNames.size()) {
        amount /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", amount, kNames.at(unit));
}

double parse_duration(std::string_view text, std::string_view option) {
    std::optional<double> seconds = with_unit(text);
    if (!seconds) seconds = as_clock(text);
    require(seconds.has_value(), ExitCode::Usage,
            "{}: '{}' is no length of time; write e.g. 90s, 30m, 1.5h or 1:30:00", option, text);
    return *seconds;
}

std::string duration_text(double seconds) {
    const auto whole = static_cast<std::int64_t>(seconds);
    if (whole >= 3600) return fmt::format("{}h {:02}m", whole / 3600, whole / 60 % 60);
    if (whole >= 60) return fmt::format("{}m {:02}s", whole / 60, whole % 60);
    return seconds < 10 ? fmt::format("{:.1f} s", seconds) : fmt::format("{} s", whole);
}

}  // namespace sluice
