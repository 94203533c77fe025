// Checkpoints with random weights, in Hugging Face's layout, from a configuration alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

namespace sluice {

struct SyntheticOptions {
    std::string config_json{};                // any that parse_config accepts: bfloat16 or fp8 in blocks
    std::string config_name = "config.json";  // or another that find_config finds
    std::map<std::string, std::string> text_files{};  // tokenizer and the like, by name
    std::uint64_t seed = 0;
    std::uint64_t file_bytes = std::uint64_t{4} << 30;  // as SafetensorsPlan's
    int threads = 1;
    bool holes = false;  // no values: zeros that take no room on the disk
};

struct SyntheticResult {
    std::size_t tensors = 0, files = 0;
    std::uint64_t bytes = 0;  // of tensors
};

// Writes the folder, whole or not at all, in a few MiB of memory for each thread beside the list of tensors.
// All of the model's tensors are there, those of multi-token-prediction layers too. Values are uniform; their
// sizes keep those of activations through the layers, and experts are chosen about evenly. A value depends on
// the seed, its tensor's name in the files and its index there, and on nothing else. `progress` hears of
// bytes written so far, and of all. Errors as
// StagedFolder's, SafetensorsLayout's and parse_config's.
SyntheticResult write_synthetic_checkpoint(const std::filesystem::path& target,
                                           const SyntheticOptions& options,
                                           const std::function<void(std::uint64_t, std::uint64_t)>& progress);

}  // namespace sluice
