// How many requests an input holds, for a progress line's total.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace sluice {

// Lines that are not blank, all files together; none when one is standard input or no regular file. Reads the
// files once, quickly. Errors: ExitCode::File when reading fails.
std::optional<std::int64_t> count_requests(const std::vector<std::filesystem::path>& paths);

}  // namespace sluice
