// A checkpoint that is being written: files laid out whole, then filled at known places by any thread or rank
// in any order, then sealed.
#pragma once

#include "checkpoint/layout.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

// Bytes of one file of a target.
struct Extent {
    int file = 0;  // of CheckpointTarget::files
    std::uint64_t offset = 0, bytes = 0;
};

// What one of the files holds of a tensor seen as a matrix [shape[0], the rest], and of its scales' grid.
struct PlacedPart {
    Range rows, cols, scale_rows, scale_cols;
    Extent values, scales;  // dense and row-major; no scales: no bytes
};

// xxh3-64 of what a part's extents hold. 0 for scales that there are none of.
struct PartChecksums {
    std::uint64_t values = 0, scales = 0;
    bool operator==(const PartChecksums&) const = default;
};

// All paths are relative to the folder that is given: the same target describes a folder in any process.
class CheckpointTarget {
public:
    virtual ~CheckpointTarget() = default;

    // Bytes that the files will take, all told.
    virtual std::uint64_t bytes() const = 0;

    // Makes all files in their final sizes, with everything in them but tensors' values and checksums: the
    // same bytes every time, over whatever a killed process left of them. Durable. ExitCode::File.
    virtual void create(const std::filesystem::path& folder) const = 0;

    // Learns the places of all parts from the files that create() made, perhaps in another process. Before
    // files() and parts(). ExitCode::File when they are not such.
    virtual void open(const std::filesystem::path& folder) = 0;

    // Names of the files with values.
    virtual const std::vector<std::string>& files() const = 0;

    // Of the plan's tensor with this index; together they cover it once. Thread-safe.
    virtual std::vector<PlacedPart> parts(std::size_t tensor) const = 0;

    // Writes what is known only when all values are: `checksums[tensor][part]`. May be repeated after a kill:
    // the outcome is the same bytes. Returns the checkpoint's id, empty for formats without.
    virtual std::string seal(const std::filesystem::path& folder,
                             const std::vector<std::vector<PartChecksums>>& checksums) = 0;
};

}  // namespace sluice
