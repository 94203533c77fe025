// open(2), for checkpoints of many files.
#pragma once

#include <filesystem>

namespace sluice {

// A descriptor, closed on exec; -1 and errno as open(2). Where the process may open no more files by default,
// it asks for as many as the system allows it.
int open_descriptor(const std::filesystem::path& path, int flags);

}  // namespace sluice
