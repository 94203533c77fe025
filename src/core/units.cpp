#include "core/units.hpp"

#include "core/error.hpp"

#include <array>
#include <charconv>
#include <utility>

namespace sluice {

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

}  // namespace sluice
