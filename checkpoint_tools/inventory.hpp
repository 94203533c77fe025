// What a checkpoint folder holds, ours or foreign, without its values.
#pragma once

#include "checkpoint/sluice_checkpoint.hpp"
#include "checkpoint/source.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

struct HeldTensor {
    TensorSpec spec;
    DType dtype = DType::BF16;
    std::uint64_t bytes = 0;  // of all parts, with scales
    int parts = 1;            // slices that hold some of it
};

struct Inventory {
    std::unique_ptr<SluiceCheckpoint> own;  // one of the two
    std::unique_ptr<CheckpointSource> foreign;
    std::vector<HeldTensor> tensors;
    std::uint64_t bytes = 0;

    const ModelConfig& config() const { return own ? own->config() : foreign->config(); }
    const std::map<std::string, std::string>& text_files() const {
        return own ? own->text_files() : foreign->text_files();
    }
};

// ExitCode::Checkpoint for a folder that is refused.
Inventory take_inventory(const std::filesystem::path& folder);

// "rows in 4 parts", "whole in every rank", "whole with its expert"
std::string cut_text(const HeldTensor& tensor, int slices);

// Tensors that differ only in their layer and expert numbers as one line with ranges:
// "/layers/1-3/experts/0-15/gate".
struct TensorGroup {
    std::string name;
    HeldTensor first;
    int count = 0;
    std::uint64_t bytes = 0;
};
std::vector<TensorGroup> group_tensors(const std::vector<HeldTensor>& tensors);

}  // namespace sluice
