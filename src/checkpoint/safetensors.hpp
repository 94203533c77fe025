// One safetensors file: 8 bytes of header length, a JSON header, the tensors' bytes.
#pragma once

#include "checkpoint/input_file.hpp"
#include "core/dtype.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

inline constexpr std::string_view kSafetensorsMetadata = "__metadata__";
inline constexpr std::uint64_t kLongestSafetensorsHeader = 100'000'000;  // the format's own limit

// "F8_E4M3"
std::string_view safetensors_name(DType type);

struct SafetensorsEntry {
    std::string dtype;          // as the file spells it, "F8_E4M3"
    std::optional<DType> type;  // empty: a type of the format that Sluice does not compute with
    std::vector<std::int64_t> dims;
    std::uint64_t begin = 0, end = 0;  // in the file, aligned to nothing
    std::string shape_text() const;    // "[128, 256]"
};

// Checked whole before use: header, types, shapes, sizes; the tensors' bytes follow each other without
// overlaps or holes to the file's end. ExitCode::Checkpoint otherwise, naming file and tensor.
class SafetensorsFile {
public:
    explicit SafetensorsFile(std::filesystem::path path);

    const std::filesystem::path& path() const { return file_.path(); }
    const std::map<std::string, SafetensorsEntry>& tensors() const { return tensors_; }

    const InputFile& file() const { return file_; }

private:
    void read_header();
    void check_packing(std::uint64_t data_begin) const;

    InputFile file_;
    std::map<std::string, SafetensorsEntry> tensors_;
};

}  // namespace sluice
