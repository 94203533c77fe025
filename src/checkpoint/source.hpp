// A checkpoint in any format, ours or somebody else's, seen through the catalog.
#pragma once

#include "checkpoint/input_file.hpp"
#include "checkpoint/value_cast.hpp"
#include "core/tensor.hpp"
#include "model/catalog.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

// A rectangle of a tensor as it lies in a file: element (r, c) stands at offset + size * ((r - rows.begin) *
// row_stride + (c - cols.begin) * col_stride). One of the strides is 1.
struct SourcePiece {
    const InputFile* file = nullptr;
    std::uint64_t offset = 0;
    Range rows, cols;
    std::int64_t row_stride = 0, col_stride = 1;
    std::string checksum{};  // of its bytes, where they are dense and the format has one: checksum_text()
};

// A whole tensor as a matrix [shape[0], the rest], its values still in the files.
struct SourceTensor {
    std::vector<SourcePiece> pieces;  // they cover it exactly once
    ValueForm form;
    Shape shape;
    std::vector<float> scales;  // [ceil(rows / block.rows), ceil(cols / block.cols)]; empty: none
    std::string where;          // file and foreign name, for messages

    std::int64_t rows() const { return shape[0]; }
    std::int64_t cols() const { return shape.row_elements(); }
    std::int64_t scale_cols() const { return form.block.cols == 0 ? 0 : blocks(cols(), form.block.cols); }
    // These rows, all columns, to `out`, dense. Thread-safe.
    void read(const Range& rows, std::byte* out) const;
    // All values, without scales, of a tensor of float32 or bfloat16.
    std::vector<float> as_floats() const;
};

// How many rows of a tensor, in whole steps, are a good read: large enough for disks and system calls, small
// enough for the second cache to help. One step at least, and no more rows than there are.
std::int64_t rows_per_read(const Shape& shape, DType dtype, std::int64_t step = 1);

// Reads a tensor's rows from the first to the last, and compares the checksums that its pieces have.
class RowReader {
public:
    // The kernel may begin to read.
    explicit RowReader(const SourceTensor& tensor);
    RowReader(RowReader&&) noexcept;
    ~RowReader();

    // The next `rows` rows to `out`, dense; with the last ones, ExitCode::Checkpoint naming file and tensor
    // when a piece is not what was written.
    void read(std::int64_t rows, std::byte* out);

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

struct NameLayout;

enum class SourceKind : std::uint8_t { Sluice, HuggingFace, GrokRelease };

// Thread-safe once opened.
class CheckpointSource {
public:
    virtual ~CheckpointSource() = default;
    virtual SourceKind kind() const = 0;
    virtual const ModelConfig& config() const = 0;
    virtual const std::string& config_json() const = 0;
    // Tokenizer and generation files.
    virtual const std::map<std::string, std::string>& text_files() const = 0;
    // Everything it holds: the catalog, and the layers for multi-token prediction where they are there.
    virtual const std::vector<TensorSpec>& tensors() const = 0;
    virtual ValueForm form(const TensorSpec&) const = 0;
    // ExitCode::Checkpoint for scales that are no numbers.
    virtual SourceTensor tensor(const TensorSpec&) const = 0;
    // Its tensors' names in Hugging Face's layout; a source in it has them so.
    virtual const NameLayout& names() const = 0;
    // Of the files as they are now: what an interrupted conversion may be continued from.
    virtual std::string fingerprint() const = 0;
};

// Opens a checkpoint of any kind below, and checks it whole before any work: every tensor of the catalog is
// there with its shape, type and scale; every tensor in the files is known. ExitCode::Checkpoint otherwise.
std::unique_ptr<CheckpointSource> open_source(const std::filesystem::path& folder);

// common.h5 and slice files.
std::unique_ptr<CheckpointSource> open_sluice_source(const std::filesystem::path& folder);

// config.json (or one config_*.json) and safetensors.
std::unique_ptr<CheckpointSource> open_hugging_face(const std::filesystem::path& folder);

// xAI's release of Grok-1: a folder ckpt-0 of pickled tensors (or that folder itself). A config.json in the
// names of run.py or of Hugging Face's layout may lie beside; without one the model is Grok-1. Its
// tokenizer.model lies beside, too, or one folder further up.
std::unique_ptr<CheckpointSource> open_grok_release(const std::filesystem::path& folder);
bool is_grok_release(const std::filesystem::path& folder);

}  // namespace sluice
