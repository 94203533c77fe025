// A checkpoint in Hugging Face's layout as a target: each tensor is one part.
#pragma once

#include "checkpoint/safetensors_layout.hpp"
#include "checkpoint/target.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <string>

namespace sluice {

// `copies`: files to be copied as they are, by the name that they get; none of the others' names. Errors as
// SafetensorsLayout's; ExitCode::File for copies that cannot be read.
std::unique_ptr<CheckpointTarget> safetensors_target(SafetensorsPlan plan,
                                                     std::map<std::string, std::filesystem::path> copies);

}  // namespace sluice
