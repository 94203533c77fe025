// The model that sluice-plan is asked about.
#pragma once

#include "model/config.hpp"

#include <filesystem>
#include <string>

namespace sluice {

struct PlannedModel {
    ModelConfig config;
    DType router = DType::BF16;  // as routers are stored
    int slices = 0;              // of a Sluice checkpoint; 0: there is none yet
    bool ours = false;           // read from a Sluice checkpoint, perhaps of other slices or another dtype
    bool retyped = false;        // its matrices are to be stored as another type
};

// From a configuration file, or from a folder: a Sluice checkpoint, Grok-1's release, or one with a
// configuration file, whose routers then pass for bfloat16. `dtype`: "keep", or what its matrices are to be
// stored as. ExitCode::Checkpoint for what is refused, ExitCode::File where there is nothing.
PlannedModel read_planned_model(const std::filesystem::path& path, const std::string& dtype);

}  // namespace sluice
