// One file of a Sluice checkpoint, open for reading.
#pragma once

#include "checkpoint/hdf5_index.hpp"
#include "checkpoint/input_file.hpp"
#include "checkpoint/layout.hpp"
#include "core/dtype.hpp"
#include "core/tensor.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace sluice {

struct StoredDataset : StoredBytes {
    DType dtype = DType::BF16;
    Shape shape;
    std::map<std::string, int> numbers;  // its integer attributes of interest
};

// Any thread may use it.
class SluiceFile {
public:
    // Checks format, version and place (`slice` of `slices`; 0 slices: as the file says).
    // ExitCode::Checkpoint.
    SluiceFile(const std::filesystem::path& path, int slice, int slices);

    const InputFile& file() const { return file_; }
    const std::filesystem::path& path() const { return file_.path(); }
    int slices() const { return slices_; }
    const std::string& id() const { return id_; }
    std::map<std::string, std::string> text_attributes() const;         // of the whole file
    std::vector<std::string> names_in(const std::string& group) const;  // none where there is no such group
    std::vector<std::string> names() const;                             // of all groups and datasets

    // ExitCode::Checkpoint when it is missing, or has no checksum.
    StoredDataset find(const std::string& name) const;

    // Reads the values of the dataset called `name` as they are and compares the checksum.
    void read(const std::string& name, const StoredBytes& stored, void* out) const;

private:
    InputFile file_;
    Hdf5Index index_;
    int slices_ = 0;
    std::string id_;
};

}  // namespace sluice
