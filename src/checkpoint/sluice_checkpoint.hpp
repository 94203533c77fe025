// A Sluice checkpoint: common.h5 and slice files, as `sluice-shard` writes them.
#pragma once

#include "core/dtype.hpp"
#include "core/tensor.hpp"
#include "model/catalog.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

// What one slice holds of a tensor, without the values.
struct StoredPart {
    DType dtype = DType::BF16;
    Shape shape;
    std::int64_t scale_rows = 0, scale_cols = 0;  // 0: no scales
    int block_rows = 0, block_cols = 0;
    int row_offset = 0, col_offset = 0;  // where the slice begins inside its first scale block
    std::uint64_t bytes = 0;             // with the scales
    std::string checksum;                // of the values, xxh3-64
};

// What one slice holds of a tensor.
struct TensorSlice {
    std::vector<std::byte> values;
    DType dtype = DType::BF16;
    Shape shape;
    std::vector<float> scales;  // [scale_rows, scale_cols]; empty: none
    std::int64_t scale_rows = 0, scale_cols = 0;
    int block_rows = 0, block_cols = 0;
    int row_offset = 0, col_offset = 0;
};

// One object is for one thread; several objects may be used at once.
class SluiceCheckpoint {
public:
    virtual ~SluiceCheckpoint() = default;
    virtual const ModelConfig& config() const = 0;
    virtual const std::string& config_json() const = 0;
    // Of the content: equal for equal values, shapes and configuration.
    virtual const std::string& id() const = 0;
    virtual int slices() const = 0;
    // Tokenizer and generation files.
    virtual const std::map<std::string, std::string>& text_files() const = 0;
    // Source, tool, dtype.
    virtual const std::map<std::string, std::string>& provenance() const = 0;

    // Reads one slice's part (`slice` is ignored for Along::Common) and verifies its checksum. A part of no
    // extent (another slice's expert) comes back empty. ExitCode::Checkpoint naming file and tensor when it
    // is missing, misshapen, cut short or altered.
    virtual TensorSlice read(const TensorSpec&, int slice) = 0;

    // As read, but leaves the values in the file and `bytes_read` as it is.
    virtual StoredPart find(const TensorSpec&, int slice) = 0;

    virtual std::uint64_t bytes_read() const = 0;  // of tensor data, so far, by this object
};

// Whether the folder looks like a Sluice checkpoint: it has a common.h5.
bool is_sluice_checkpoint(const std::filesystem::path& folder);

// Opens common.h5 and checks that every slice file is there; slice files are opened, and checked to belong to
// this checkpoint, when first read from.
std::unique_ptr<SluiceCheckpoint> open_sluice_checkpoint(const std::filesystem::path& folder);

}  // namespace sluice
