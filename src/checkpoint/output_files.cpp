#include "checkpoint/output_files.hpp"

#include "core/error.hpp"

namespace sluice {

OutputFiles::OutputFiles(const std::filesystem::path& folder, const std::vector<std::string>& names) {
    files_.reserve(names.size());
    for (const std::string& name : names) {
        files_.emplace_back(folder / name, OutputFile::Mode::Fill);
        files_.back().open_direct();
    }
}

void OutputFiles::write(const Extent& extent, std::uint64_t at, std::span<const std::byte> bytes) const {
    file_of(extent, at, bytes.size()).write(extent.offset + at, bytes);
}

void OutputFiles::read(const Extent& extent, std::uint64_t at, std::span<std::byte> out) const {
    file_of(extent, at, out.size()).read(extent.offset + at, out);
}

void OutputFiles::write_direct(const Extent& extent, std::uint64_t at,
                               std::span<const std::byte> bytes) const {
    file_of(extent, at, bytes.size()).write_direct(extent.offset + at, bytes);
}

void OutputFiles::sync() const {
    for (const OutputFile& file : files_) file.sync();
}

const OutputFile& OutputFiles::file_of(const Extent& extent, std::uint64_t at, std::size_t bytes) const {
    const OutputFile& file = files_.at(static_cast<std::size_t>(extent.file));
    expect(at <= extent.bytes && bytes <= extent.bytes - at, "{}: bytes {} to {} of {}", file.path().string(),
           at, at + bytes, extent.bytes);
    return file;
}

}  // namespace sluice
