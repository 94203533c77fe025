// The files of a checkpoint folder in Hugging Face's layout.
#pragma once

#include "checkpoint/safetensors.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

struct TensorPlace {
    const SafetensorsFile* file = nullptr;
    const SafetensorsEntry* entry = nullptr;
};

// The safetensors files of a folder: those of model.safetensors.index.json, or model.safetensors alone.
class HuggingFaceFiles {
public:
    // Index and files must name the same tensors in the same places; ExitCode::Checkpoint otherwise.
    explicit HuggingFaceFiles(const std::filesystem::path& folder);

    const std::map<std::string, TensorPlace>& tensors() const { return tensors_; }
    const std::vector<std::unique_ptr<SafetensorsFile>>& files() const { return files_; }

private:
    void open(const std::filesystem::path& path);

    std::vector<std::unique_ptr<SafetensorsFile>> files_;
    std::map<std::string, TensorPlace> tensors_;
};

// config.json, or the only config_*.json. ExitCode::Checkpoint where there is none, or a choice.
std::filesystem::path find_config(const std::filesystem::path& folder);

// The tokenizer and generation files that the folder has, by name.
std::map<std::string, std::string> read_text_files(const std::filesystem::path& folder);

inline constexpr const char* kTokenizerModel = "tokenizer.model";

// Whether text can be encoded with such files: by tokenizer.json or tokenizer.model.
bool has_tokenizer(const std::map<std::string, std::string>& text_files);

// "a, b, c and 7 more"
std::string first_few(const std::vector<std::string>& names);

}  // namespace sluice
