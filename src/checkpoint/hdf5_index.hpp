// What the HDF5 file of a Sluice checkpoint holds, read by ourselves: the library crashes on damaged files,
// takes one lock for all threads, and needs long for a hundred thousand datasets.
//
// Only what Sluice writes (with HDF5 1.10) is read: a superblock of version 2, groups as symbol tables,
// contiguous datasets of our element types, attributes that are text or int32. Everything else is refused.
// The source is the HDF5 File Format Specification, version 3.0.
#pragma once

#include "checkpoint/hdf5_object.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

// Does not change once read, so any thread may use it.
class Hdf5Index {
public:
    // `metadata` are the file's first bytes, at least to the end of all that is not values; `where` is its
    // name. ExitCode::Checkpoint with the byte at fault.
    static Hdf5Index read(std::span<const std::byte> metadata, std::uint64_t file_size, std::string where);

    // By its full name, "/layers/3/attention/q_b"; null where there is none.
    const Hdf5Dataset* find(std::string_view name) const;

    // Of datasets and groups, ascending; none where there is no such group.
    std::vector<std::string> names_in(std::string_view group) const;

    using Entry = std::pair<std::string, Hdf5Dataset>;
    const std::vector<Entry>& datasets() const { return datasets_; }       // ascending by full name
    const Hdf5Attributes& attributes() const { return root_attributes_; }  // of the file as a whole

private:
    std::vector<Entry> datasets_;
    Hdf5Attributes root_attributes_;
};

}  // namespace sluice
