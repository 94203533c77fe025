// What sluice-shard and sluice-cast share: a conversion with its progress and closing summary.
#pragma once

#include "checkpoint/convert.hpp"

#include <filesystem>

namespace sluice {

void run_conversion(const std::filesystem::path& input, const std::filesystem::path& output,
                    const ConvertOptions& options);

}  // namespace sluice
