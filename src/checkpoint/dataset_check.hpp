// What the files of a Sluice checkpoint hold, against what its catalog says.
#pragma once

#include "checkpoint/source.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace sluice {

struct StoredContent {
    std::string id;                    // of the datasets that are known, computed anew
    std::vector<std::string> unknown;  // "FILE: NAME" of groups and datasets that are none of a checkpoint's
};

// Looks at all datasets' types, shapes and checksums, but not at their values. `source` is the checkpoint in
// `folder`, opened. ExitCode::Checkpoint for a dataset that cannot be read.
StoredContent stored_content(const std::filesystem::path& folder, const CheckpointSource& source);

}  // namespace sluice
