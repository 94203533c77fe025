// Whether a checkpoint is what was written, and what its source says.
#pragma once

#include "checkpoint/compare_values.hpp"
#include "checkpoint/source.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

enum class Fault : std::uint8_t {
    Id,           // it is not that of the datasets
    Unknown,      // dataset of no tensor
    Config,       // describes another model than the source's
    Missing,      // tensor of one of two checkpoints
    Shape,        // differs
    Damaged,      // values or scales cannot be read, or are not what was written
    Values,       // differ
    Scales,       // differ
    WastedRange,  // scales too coarse for their blocks
};
std::string_view name_of(Fault fault);  // "wasted-range"

struct Finding {
    Fault fault;
    std::string subject;  // the tensor, or a file's dataset
    std::string text;     // with the subject, a sentence
    std::optional<Difference> difference{};
};

struct Verification {
    std::vector<Finding> findings;  // in the order of tensors, whatever the threads; none: all is right
    bool checksums = false;         // the format has some, and they were compared
    std::string id;                 // of a Sluice checkpoint
    std::size_t tensors = 0;
    std::uint64_t bytes = 0;  // read
};

// Bytes read so far, of all. Called by one thread at a time.
using VerifyProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Of a Sluice checkpoint all checksums, its id, and that it holds nothing unknown; of another that it is
// complete and its scales are finite. With a source also that both have the same configuration, as
// config_difference() says, and the same tensors with the same values, as ValueComparison does. A few MiB of
// memory for each thread. ExitCode::Checkpoint for a folder that cannot be opened; what is wrong inside is a
// finding.
Verification verify_checkpoint(const std::filesystem::path& folder,
                               const std::optional<std::filesystem::path>& against, int threads,
                               const VerifyProgress& progress);

}  // namespace sluice
