// JSON through nlohmann-json, with errors that name the file and the key. Heavy: for .cpp files; headers take
// text or a forward declaration.
#pragma once

#include "core/error.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <string_view>

namespace sluice {

using Json = nlohmann::json;

// Whole file as bytes. Errors: ExitCode `code`, naming the path and the system's reason.
std::string read_file(const std::filesystem::path& path, ExitCode code);

// Parses strictly (no comments), nesting at most 200 deep.
// `where` names the text in errors.
Json parse_json(std::string_view text, const std::string& where, ExitCode code);

}  // namespace sluice
