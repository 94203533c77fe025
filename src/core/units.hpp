// Amounts of memory and time as people write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

// "20GiB", "512MiB", "1.5GB", "4096" (bytes); binary and decimal units. ExitCode::Usage naming `option`
// otherwise.
std::uint64_t parse_bytes(std::string_view text, std::string_view option);

// "1.25 GiB"
std::string bytes_text(std::uint64_t bytes);

// "90", "90s", "30m", "1.5h", "2d"; Slurm's "MM:SS", "HH:MM:SS", "D-HH:MM:SS". In seconds. ExitCode::Usage
// naming `option` otherwise.
double parse_duration(std::string_view text, std::string_view option);

// "2h 05m", "3m 20s", "7 s"
std::string duration_text(double seconds);

}  // namespace sluice
