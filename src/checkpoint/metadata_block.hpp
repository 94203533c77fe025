// HDF5 does not notice altered bytes in what it keeps beside the values: names, shapes, places, attributes.
// So each file of a Sluice checkpoint begins with a block of ours (HDF5's "user block"), which holds a
// checksum of everything from its own end to the first value:
//
//     bytes 0-5    "SLUICE"
//     bytes 6-7    version of the format
//     bytes 8-15   length of the metadata, from byte 4096 on
//     bytes 16-23  their xxh3-64
//
// Numbers are little-endian; the rest, and all of it until the file is finished, is zeros.
#pragma once

#include "checkpoint/input_file.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace sluice {

inline constexpr std::uint64_t kMetadataBlockBytes = 4096;

// Says that the file is finished, with its metadata ending at byte `end`. ExitCode::File.
void write_metadata_block(const std::filesystem::path& path, std::uint64_t end);

// The file's bytes to the metadata's end, at most 1 GiB and the block. ExitCode::Checkpoint when they are
// altered, the file is not finished, or it is not of this version. Needs no HDF5: it goes before.
std::vector<std::byte> check_metadata(const InputFile& file);

}  // namespace sluice
