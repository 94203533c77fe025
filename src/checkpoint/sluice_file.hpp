// One file of a Sluice checkpoint, open for reading. Only for .cpp files of this folder.
#pragma once

#include "checkpoint/hdf5_handle.hpp"
#include "core/dtype.hpp"
#include "core/tensor.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

// Where a dataset's values stand in its file.
struct StoredDataset {
    std::optional<DType> dtype;  // empty: none of ours
    Shape shape;
    std::uint64_t offset = 0, bytes = 0;
    std::string checksum;
    std::map<std::string, int> numbers;  // its integer attributes of interest
};

class SluiceFile {
public:
    // Checks format, version and place (`slice` of `slices`; 0 slices: as the file says).
    // ExitCode::Checkpoint.
    SluiceFile(const std::filesystem::path& path, int slice, int slices);
    SluiceFile(const SluiceFile&) = delete;
    SluiceFile& operator=(const SluiceFile&) = delete;
    ~SluiceFile();

    const std::filesystem::path& path() const { return path_; }
    int slices() const { return slices_; }
    const std::string& id() const { return id_; }
    std::map<std::string, std::string> text_attributes() const;         // of the whole file
    std::vector<std::string> names_in(const std::string& group) const;  // none where there is no such group

    // ExitCode::Checkpoint when missing, not stored in one piece, or beyond the file's end.
    StoredDataset find(const std::string& name) const;

    // Reads the values as they are and compares the checksum.
    void read(const std::string& name, const StoredDataset& dataset, void* out) const;

private:
    std::filesystem::path path_;
    h5::Handle file_;
    int descriptor_ = -1;  // for plain reads, several times as fast as HDF5's
    std::uint64_t size_ = 0;
    int slices_ = 0;
    std::string id_;
};

}  // namespace sluice
