// Amounts of memory as people write them.
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

}  // namespace sluice
