// A checkpoint in somebody else's format, seen through the catalog.
#pragma once

#include "core/dtype.hpp"
#include "core/tensor.hpp"
#include "model/catalog.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

// A rectangle of a tensor as it lies in a mapped file: element (r, c) stands at values + size * ((r -
// rows.begin) * row_stride + (c - cols.begin) * col_stride), not aligned.
struct SourcePiece {
    const std::byte* values = nullptr;
    Range rows, cols;
    std::int64_t row_stride = 0, col_stride = 1;
};

// A whole tensor, borrowed from the source, as a matrix [shape[0], the rest].
struct SourceTensor {
    std::vector<SourcePiece> pieces;  // they cover it exactly once
    DType dtype = DType::BF16;
    Shape shape;
    std::vector<float> scales;  // [ceil(rows / block.rows), ceil(cols / block.cols)]; empty: none
    Block block;
    std::string where;  // file and foreign name, for messages

    std::int64_t cols() const { return shape[0] == 0 ? 0 : shape.elements() / shape[0]; }
    std::int64_t scale_cols() const { return block.cols == 0 ? 0 : (cols() + block.cols - 1) / block.cols; }
    // These rows and columns of the values to `out`, dense.
    void copy(const Range& rows, const Range& cols, std::byte* out) const;
    // All values, without scales, of a tensor of float32 or bfloat16.
    std::vector<float> as_floats() const;
};

// A tensor's form, known without touching its values.
struct SourceForm {
    DType dtype = DType::BF16;
    Block block;  // none: no scales
};

enum class SourceKind : std::uint8_t { HuggingFace, GrokRelease };

class CheckpointSource {
public:
    virtual ~CheckpointSource() = default;
    virtual SourceKind kind() const = 0;
    virtual const ModelConfig& config() const = 0;
    virtual const std::string& config_json() const = 0;
    // Tokenizer and generation files.
    virtual const std::map<std::string, std::string>& text_files() const = 0;
    virtual SourceForm form(const TensorSpec&) const = 0;
    // ExitCode::Checkpoint for scales that are no numbers.
    virtual SourceTensor tensor(const TensorSpec&) const = 0;
    // Its pages may leave memory.
    virtual void release(const TensorSpec&) const = 0;
};

// Opens a foreign checkpoint of either kind below, and checks it whole before any work: every tensor of the
// catalog is there with its shape, type and scale; every tensor in the files is known. ExitCode::Checkpoint
// otherwise.
std::unique_ptr<CheckpointSource> open_source(const std::filesystem::path& folder);

// config.json (or one config_*.json) and safetensors.
std::unique_ptr<CheckpointSource> open_hugging_face(const std::filesystem::path& folder);

// xAI's release of Grok-1: a folder ckpt-0 of pickled tensors (or that folder itself). A config.json in the
// names of run.py or of Hugging Face's layout may lie beside; without one the model is Grok-1. Its
// tokenizer.model lies beside, too, or one folder further up.
std::unique_ptr<CheckpointSource> open_grok_release(const std::filesystem::path& folder);
bool is_grok_release(const std::filesystem::path& folder);

// A folder's absolute path, without ".", ".." and a slash at its end.
std::filesystem::path full_path(const std::filesystem::path& folder);

// ExitCode::Checkpoint naming `where` unless all scales are finite and not negative.
void check_scales(const std::vector<float>& scales, const std::string& where);

}  // namespace sluice
