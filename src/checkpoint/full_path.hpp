// Folders' names as users write them.
#pragma once

#include <filesystem>

namespace sluice {

// A folder's absolute path, without ".", ".." and a slash at its end.
std::filesystem::path full_path(const std::filesystem::path& folder);

}  // namespace sluice
