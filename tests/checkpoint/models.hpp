// Models for the checkpoint tests: copies of the tiny ones, and made-up ones with odd sizes.
#pragma once

#include "checkpoint/safetensors_image.hpp"
#include "model/catalog.hpp"
#include "support/scratch_folder.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>
#include <string>

namespace sluice::test {

inline constexpr const char* kFirstFile = "model-00001-of-00002.safetensors";
inline constexpr const char* kSecondFile = "model-00002-of-00002.safetensors";
inline constexpr const char* kIndexFile = "model.safetensors.index.json";

std::filesystem::path tiny_v3();
std::filesystem::path tiny_v2();

// A tensor's name in DeepSeek's files.
std::string deepseek_name(const TensorSpec& spec);

void copy_folder(const std::filesystem::path& from, const std::filesystem::path& to);

void edit_json(const std::filesystem::path& path, const std::function<void(nlohmann::ordered_json&)>& edit);
void edit_tensors(const std::filesystem::path& path, const std::function<void(RawTensors&)>& edit);

// The tiny V3's configuration with other sizes: no dimension a multiple of 128, 3 heads, 5 experts.
nlohmann::ordered_json odd_sizes();

// A folder with pseudo-random weights for `config`, a file for each `tensors_per_file` tensors. Matrices are
// fp8 with scales where the configuration has a quantization_config, else bfloat16.
void write_random_model(const std::filesystem::path& folder, const nlohmann::ordered_json& config,
                        std::size_t tensors_per_file);

}  // namespace sluice::test
