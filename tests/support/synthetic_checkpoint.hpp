// Checkpoints with random weights for tests, beyond what sluice-synth makes of the configurations in
// tests/data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace sluice::test {

// With the tokenizer of the tiny DeepSeek-V3. The folder must not exist.
void make_checkpoint(const std::string& config_json, std::uint64_t seed, const std::filesystem::path& folder);

// Eight heads and sixteen experts, so that eight ranks have work, and no width that is a multiple of 128.
std::string wide_config();

// As wide, with larger matrices and as many experts as make about `mebibytes` of fp8 weights.
std::string large_config(int mebibytes);

}  // namespace sluice::test
