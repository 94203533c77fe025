// HDF5 files as a checkpoint's are, with whatever datasets a test needs.
#pragma once

#include "core/dtype.hpp"
#include "core/tensor.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace sluice::test {

struct DatasetImage {
    std::string name;
    DType dtype = DType::F32;
    Shape shape;
    std::map<std::string, int> numbers;  // attributes
};

struct Hdf5Image {
    std::vector<DatasetImage> datasets;
    std::map<std::string, std::string> texts;  // attributes of the file, beside a few that are always there
    std::uint64_t user_block = 4096;
    std::function<void(std::int64_t file)> also;  // what else the library shall do to the open file
};

// Lays the file out, then gives the datasets their places, one behind the other, with zeros for values.
void write_hdf5(const std::filesystem::path& path, const Hdf5Image& image);

// A few datasets of each type in a few groups.
Hdf5Image small_hdf5();

}  // namespace sluice::test
