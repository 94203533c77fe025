// The test model's tokenizer, as it is or with parts of its files replaced.
#pragma once

#include "core/json.hpp"
#include "text/tokenizer.hpp"

#include <filesystem>
#include <string>

namespace sluice {

inline Json test_json(const std::filesystem::path& path) {
    return parse_json(read_file(path, ExitCode::File), path.string(), ExitCode::File);
}

inline std::filesystem::path test_model() {
    return std::filesystem::path(SLUICE_TEST_DATA) / "models" / "deepseek-v3-tiny";
}

inline Json text_cases(const std::string& name) {
    return test_json(std::filesystem::path(SLUICE_TEXT_TEST_DATA) / name);
}

// Some files given as JSON.
inline TokenizerFiles files_of(const Json& tokenizer, const Json& config = Json(),
                               const Json& generation = Json()) {
    TokenizerFiles files;
    files.files["tokenizer.json"] = tokenizer.dump();
    if (!config.is_null()) files.files["tokenizer_config.json"] = config.dump();
    if (!generation.is_null()) files.files["generation_config.json"] = generation.dump();
    return files;
}

}  // namespace sluice
