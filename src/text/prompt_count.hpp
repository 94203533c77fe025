// How many requests an input holds, for a progress line's total.
#pragma once

#include "text/partition.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace sluice {

// The partition's share of the lines that are not blank, all files together; none when one is standard input,
// no regular file, or packed. Reads the files once, quickly. Errors: ExitCode::File when reading fails.
std::optional<std::int64_t> count_requests(const std::vector<std::filesystem::path>& paths,
                                           Partition partition = {});

}  // namespace sluice
