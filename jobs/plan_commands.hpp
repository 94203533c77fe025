// The commands that carry a plan out, ready for a shell.
#pragma once

#include "jobs/plan_meshes.hpp"

#include <optional>
#include <string>
#include <vector>

namespace sluice {

struct PlanCommands {
    int nodes = 1, ranks_per_node = 1;  // the last node may have fewer
    std::optional<std::string> shard;   // none where the checkpoint is there, or none can be made
    std::string mpirun, sbatch;
    std::vector<std::string> notes;  // what to know before running them
};

// For a mesh of `plan` that fits.
PlanCommands commands_for(const Plan& plan, const Mesh& mesh, const PlanOptions& options);

}  // namespace sluice
