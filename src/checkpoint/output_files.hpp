// The files of a target, open to be filled by any thread.
#pragma once

#include "checkpoint/output_file.hpp"
#include "checkpoint/target.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace sluice {

// Thread-safe. ExitCode::File with the system's reason when a file cannot be opened, written or read.
class OutputFiles {
public:
    // `names` as CheckpointTarget::files says; the files exist.
    OutputFiles(const std::filesystem::path& folder, const std::vector<std::string>& names);

    // To and from byte `at` of an extent, within it.
    void write(const Extent& extent, std::uint64_t at, std::span<const std::byte> bytes) const;
    void read(const Extent& extent, std::uint64_t at, std::span<std::byte> out) const;

    // As OutputFile's.
    void write_direct(const Extent& extent, std::uint64_t at, std::span<const std::byte> bytes) const;

    // Makes all that was written durable.
    void sync() const;

private:
    const OutputFile& file_of(const Extent& extent, std::uint64_t at, std::size_t bytes) const;

    std::vector<OutputFile> files_;
};

}  // namespace sluice
