// What a conversion writes, decided before its first byte.
#pragma once

#include "checkpoint/convert.hpp"
#include "checkpoint/sluice_plan.hpp"
#include "checkpoint/source.hpp"
#include "checkpoint/target.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

struct ConversionPlan {
    std::vector<PlannedTensor> tensors;  // in the target's order
    std::unique_ptr<CheckpointTarget> target;
    int slices = 0;  // 0: not cut
    bool tokenizer = false;
    std::string identity;  // of everything that the target's bytes depend on
};

// ExitCode::Usage for slices that some tensor does not allow.
ConversionPlan plan_conversion(const CheckpointSource& source, const std::filesystem::path& input,
                               const ConvertOptions& options);

}  // namespace sluice
