// A Sluice checkpoint: common.h5 and slice files, as `sluice-shard` writes them.
#pragma once

#include "checkpoint/input_file.hpp"
#include "checkpoint/layout.hpp"
#include "core/dtype.hpp"
#include "core/tensor.hpp"
#include "model/catalog.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace sluice {

// What one slice holds of a tensor, but for the values.
struct PartForm {
    DType dtype = DType::BF16;
    Shape shape;
    std::int64_t scale_rows = 0, scale_cols = 0;  // 0: no scales
    int block_rows = 0, block_cols = 0;
    int row_offset = 0, col_offset = 0;  // where the slice begins inside its first scale block
};

// And where they are.
struct StoredPart : PartForm {
    int slice = 0;                    // whose file it stands in: kCommonIndex for Along::Common
    const InputFile* file = nullptr;  // the checkpoint's own; none for a part of no extent
    StoredBytes values, scales;
    std::uint64_t bytes() const { return values.bytes + scales.bytes; }
};

// And the values. Copies share them.
struct TensorSlice : PartForm {
    std::shared_ptr<const std::byte> memory;
    std::span<const std::byte> values;
    std::span<const float> scales;  // [scale_rows, scale_cols]; empty: none
};

// Memory that a part takes: values, then scales, each from a multiple of 64 bytes on.
std::uint64_t memory_bytes(const PartForm& form);

// A part whose values and scales stand in `memory`, of memory_bytes and aligned to 64.
TensorSlice slice_in(std::shared_ptr<const std::byte> memory, const PartForm& form);

// For any number of threads at once.
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
    // Whether the tensors of prediction_catalog() are there.
    virtual bool holds_prediction() const = 0;

    // Finds one slice's part (`slice` is ignored for Along::Common). A part of no extent (another slice's
    // expert) has no bytes. ExitCode::Checkpoint naming file and tensor when it is missing, misshapen or cut
    // short.
    virtual StoredPart find(const TensorSpec&, int slice) = 0;

    // Reads what find() told into `memory`, laid out as slice_in() has it, and verifies the checksums.
    // ExitCode::Checkpoint naming file and tensor when values are altered.
    virtual void fill(const TensorSpec&, const StoredPart&, std::byte* memory) = 0;

    // Both, in memory of its own.
    TensorSlice read(const TensorSpec&, int slice);

    virtual std::uint64_t bytes_read() const = 0;  // of tensor data, so far, by this object
};

// Whether the folder looks like a Sluice checkpoint: it has a common.h5.
bool is_sluice_checkpoint(const std::filesystem::path& folder);

// Opens common.h5 and checks that every slice's file is there, or those of `slices` alone, when no other is
// asked for; slice files are opened, and checked to belong to this checkpoint, when first read from.
std::unique_ptr<SluiceCheckpoint> open_sluice_checkpoint(const std::filesystem::path& folder,
                                                         std::optional<Range> slices = {});

}  // namespace sluice
