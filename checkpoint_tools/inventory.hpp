// What a checkpoint folder holds, ours or foreign, without its values.
#pragma once

#include "checkpoint/sluice_checkpoint.hpp"
#include "checkpoint/source.hpp"
#include "checkpoint_tools/tensor_values.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

struct HeldTensor {
    TensorSpec spec;
    DType dtype = DType::BF16;
    std::uint64_t bytes = 0;  // of all parts, with scales
    int parts = 1;            // slices that hold some of it
    std::optional<ValueSummary> values{};
};

struct Inventory {
    std::unique_ptr<CheckpointSource> source;
    std::unique_ptr<SluiceCheckpoint> own;  // what only a Sluice checkpoint knows; none: another kind
    std::vector<HeldTensor> tensors;
    std::uint64_t bytes = 0;
};

// ExitCode::Checkpoint for a folder that is refused.
Inventory take_inventory(const std::filesystem::path& folder);

// Reads all tensors and fills in their `values`. ExitCode::Checkpoint for altered ones.
void summarize_all(Inventory& inventory, int threads,
                   const std::function<void(std::uint64_t done, std::uint64_t total)>& progress);

// "rows in 4 parts", "whole in every rank", "whole with its expert"
std::string cut_text(const HeldTensor& tensor, int slices);

// Tensors that differ only in their layer and expert numbers as one line with ranges:
// "/layers/1-3/experts/0-15/gate".
struct TensorGroup {
    std::string name;
    HeldTensor first;
    int count = 0;
    std::uint64_t bytes = 0;
    std::optional<ValueSummary> values{};  // of all together
};
std::vector<TensorGroup> group_tensors(const std::vector<HeldTensor>& tensors);

}  // namespace sluice
