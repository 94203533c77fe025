// Writes a Sluice checkpoint, part by part, in bounded memory.
#pragma once

#include "core/dtype.hpp"
#include "model/catalog.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sluice {

struct PlannedTensor {
    TensorSpec spec;
    DType dtype = DType::BF16;
    Block block;  // none: no scales
};

// What a checkpoint will hold, known before its first byte is written.
struct SluicePlan {
    int slices = 1;
    std::vector<PlannedTensor> tensors;
    std::string config_json;
    std::map<std::string, std::string> text_files;
    std::map<std::string, std::string> provenance;  // attributes of common.h5; not part of the id
};

// Of all parts with their scales.
std::uint64_t tensor_bytes(const SluicePlan& plan);

class SluiceWriter {
public:
    // Writes `rows` of the part (counted from the part's first) to `out`, dense, in the planned type.
    using FillRows = std::function<void(Range rows, std::byte* out)>;

    // Lays out all files in a staging folder. ExitCode::File when the target exists, space is short, or the
    // system says no.
    SluiceWriter(const std::filesystem::path& target, SluicePlan plan);
    SluiceWriter(SluiceWriter&&) noexcept;
    ~SluiceWriter();  // unfinished: leaves nothing behind

    // Every part of every planned tensor must be written once; `slice` is one of slices_of. `scales` are the
    // part's own, [scale_rows, scale_cols].
    void write(const PlannedTensor& tensor, int slice, const FillRows& fill, std::span<const float> scales);

    // Makes everything durable and gives the folder its name. Returns the checkpoint's id.
    std::string finish();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
