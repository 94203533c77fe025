// One safetensors file: 8 bytes of header length, a JSON header, the tensors' bytes.
#pragma once

#include "checkpoint/mapped_file.hpp"
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
    std::size_t begin = 0, end = 0;  // in the file
    std::string shape_text() const;  // "[128, 256]"
};

// Checked whole before use: header, types, shapes, sizes; the tensors' bytes follow each other without
// overlaps or holes to the file's end. ExitCode::Checkpoint otherwise, naming file and tensor.
class SafetensorsFile {
public:
    explicit SafetensorsFile(std::filesystem::path path);

    const std::filesystem::path& path() const { return file_.path(); }
    const std::map<std::string, SafetensorsEntry>& tensors() const { return tensors_; }

    // Not aligned to the element: the format promises nothing.
    const std::byte* data(const SafetensorsEntry& entry) const { return bytes_of(entry).data(); }
    void will_read(const SafetensorsEntry& entry) const { file_.will_read(bytes_of(entry)); }
    void release(const SafetensorsEntry& entry) const { file_.release(bytes_of(entry)); }

private:
    std::span<const std::byte> bytes_of(const SafetensorsEntry& entry) const {
        return file_.bytes().subspan(entry.begin, entry.end - entry.begin);
    }
    void read_header();
    void check_packing(std::size_t data_begin) const;

    MappedFile file_;
    std::map<std::string, SafetensorsEntry> tensors_;
};

}  // namespace sluice
