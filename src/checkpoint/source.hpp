// A checkpoint in somebody else's format, seen through the catalog.
#pragma once

#include "core/dtype.hpp"
#include "core/tensor.hpp"
#include "model/catalog.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

// A whole tensor, borrowed from the source (mapped file).
struct SourceTensor {
    const std::byte* values = nullptr;  // not aligned to the element
    DType dtype = DType::BF16;
    Shape shape;
    std::vector<float> scales;  // [ceil(rows / block_rows), ceil(cols / block_cols)]; empty: none
    int block_rows = 0, block_cols = 0;
    std::string where;  // file and foreign name, for messages
};

class CheckpointSource {
public:
    virtual ~CheckpointSource() = default;
    virtual const ModelConfig& config() const = 0;
    virtual const std::string& config_json() const = 0;  // as read
    // Tokenizer and generation files.
    virtual const std::map<std::string, std::string>& text_files() const = 0;
    // Without touching the values.
    virtual DType dtype(const TensorSpec&) const = 0;
    // ExitCode::Checkpoint for scales that are no numbers.
    virtual SourceTensor tensor(const TensorSpec&) const = 0;
    // Its pages may leave memory.
    virtual void release(const TensorSpec&) const = 0;
};

// Opens a folder with config.json (or one config_*.json) and safetensors, and checks it whole before any
// work: every tensor of the catalog is there with its shape, type and scale; every tensor in the files is
// known. ExitCode::Checkpoint otherwise.
std::unique_ptr<CheckpointSource> open_hugging_face(const std::filesystem::path& folder);

}  // namespace sluice
