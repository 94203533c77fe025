// Joins the outputs of the runs of one input's partitions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace sluice {

struct MergeOptions {
    std::filesystem::path output;
    std::vector<std::filesystem::path> parts;
    bool overwrite = false;
};

// Writes the answers of all parts, and the record of a finished run of the whole input beside them; the
// output appears whole or not at all, and one that is there stays as it was until then. Parts of ordered runs
// are interleaved to the order of the input, others follow each other. Memory grows by the hash of each id.
// Returns the number of lines. Errors: ExitCode::Usage when the output exists and is not to be replaced, or
// the parts are not one run's, one of each, or are txt with several completions a request; ExitCode::File
// when one is unfinished or changed, an id is answered twice, or a run is writing the output.
std::int64_t merge_parts(const MergeOptions& options);

}  // namespace sluice
