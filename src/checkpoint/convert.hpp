// From a foreign checkpoint to a Sluice one.
#pragma once

#include "checkpoint/source.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace sluice {

enum class StoredType : std::uint8_t {
    Keep,  // as the source has it
    Bf16,  // quantised matrices become bfloat16
};

struct ConvertOptions {
    int slices = 0;  // 0: default_slices
    StoredType type = StoredType::Keep;
    std::string tool;  // for the provenance, "sluice-shard 0.1.0"
};

struct ConvertResult {
    std::string id;
    int slices = 0;
    std::uint64_t tensors = 0, bytes = 0;  // bytes written
    bool tokenizer = false;                // the source had one
};

// Bytes of tensors written so far, of all.
using ConvertProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Writes the Sluice checkpoint `target` from the foreign one in folder `input`, in memory of a few rows of
// its largest tensor. ExitCode::Checkpoint for an input that is refused, ExitCode::Usage for slices that some
// tensor does not allow, ExitCode::File for a target that cannot be written.
ConvertResult convert_checkpoint(const std::filesystem::path& input, const std::filesystem::path& target,
                                 const ConvertOptions& options, const ConvertProgress& progress);

}  // namespace sluice
