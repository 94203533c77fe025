// Checkpoints in Hugging Face's layout with seeded random weights, of any size that a configuration states.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace sluice::test {

struct SyntheticCheckpoint {
    std::string config_json;  // of deepseek_v2 or deepseek_v3; with quantization_config the matrices are fp8
    std::filesystem::path tokenizer;  // a folder whose tokenizer files are copied
    std::uint64_t seed = 1;
    int files = 2;  // safetensors files; 1: model.safetensors without an index
};

// Writes the folder, tensor by tensor: memory stays at the size of the largest. Values are uniform, of a
// scale that keeps activations near 1; every fp8 block has a scale of its own.
void write_synthetic_checkpoint(const SyntheticCheckpoint& checkpoint, const std::filesystem::path& folder);

// Eight heads and sixteen experts, so that eight ranks have work, and no width that is a multiple of 128.
std::string wide_config();

// As wide, with larger matrices and as many experts as make about `mebibytes` of fp8 weights.
std::string large_config(int mebibytes);

}  // namespace sluice::test
