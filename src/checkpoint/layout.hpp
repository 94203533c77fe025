// What stands where in a Sluice checkpoint: shared by its writer and its reader.
#pragma once

#include "checkpoint/checksum.hpp"
#include "core/dtype.hpp"
#include "model/catalog.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

inline constexpr std::string_view kFormatName = "sluice-checkpoint";
inline constexpr int kFormatVersion = 2;
inline constexpr int kCommonIndex = -1;  // the "slice" of common.h5
inline constexpr std::string_view kConfigName = "config.json";
inline constexpr const char* kChecksumAttribute = "xxh3_64";  // of a dataset's values
inline constexpr const char* kIdAttribute = "checkpoint_id";  // of every file

// "common.h5" for kCommonIndex, else "slice-003-of-008.h5".
std::string checkpoint_file_name(int slice, int slices);

// "/files/config.json"
std::string text_dataset_name(std::string_view file);

// "/layers/3/attention/q_b.scale"
std::string scale_dataset_name(std::string_view tensor);

// What a slice holds of a tensor seen as a matrix [shape[0], the rest], and of its grid of scale blocks. A
// slice that begins inside a block holds that block's scale, too, and begins `row_offset` rows and
// `col_offset` columns into it.
struct SlicePart {
    Shape shape;
    Range rows, cols;
    Range scale_rows, scale_cols;  // empty without blocks
    int row_offset = 0, col_offset = 0;
    bool empty() const { return rows.size() == 0 || cols.size() == 0; }
    std::uint64_t value_bytes(DType dtype) const;
    std::uint64_t scale_bytes() const;
    std::uint64_t bytes(DType dtype) const { return value_bytes(dtype) + scale_bytes(); }
};

// `slice` may be kCommonIndex for a tensor that is not divided. No block: no scales.
SlicePart slice_part(const TensorSpec& tensor, int slice, int slices, Block block);

// All of a tensor.
SlicePart whole_part(const Shape& shape, Block block);

// The slices that hold something of a tensor: kCommonIndex alone, its expert's alone, or all.
std::vector<int> slices_of(const TensorSpec& tensor, int slices);

// Where a dataset's values stand in its file, and what they must hash to.
struct StoredBytes {
    std::uint64_t offset = 0, bytes = 0;
    std::string checksum;  // checksum_text()
};

// A hash of everything that a checkpoint says: equal for equal values, types, shapes, slices and text files.
class ContentId {
public:
    void add(std::string_view dataset, int slice, std::string_view dtype, const Shape& shape,
             std::string_view checksum);
    static constexpr std::size_t kDigits = 32;
    std::string text() const;

private:
    std::map<std::string, std::string> lines_;  // sorted: the order of writing does not matter
};

}  // namespace sluice
