// One object of an HDF5 file: a group or a dataset, with its attributes.
//
// "Object header" here, "message" and all other terms as in the HDF5 File Format Specification, version 3.0;
// roman numerals in comments are its sections.
#pragma once

#include "checkpoint/hdf5_bytes.hpp"
#include "core/dtype.hpp"
#include "core/tensor.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

struct Hdf5Attributes {
    std::map<std::string, std::string, std::less<>> texts;
    std::map<std::string, int, std::less<>> numbers;
};

struct Hdf5Dataset {
    DType dtype = DType::U8;
    Shape shape;
    std::uint64_t offset = 0, bytes = 0;  // of the values in the file; no elements: 0, 0
    Hdf5Attributes attributes;
};

// Where a group keeps its entries and their names.
struct Hdf5SymbolTable {
    std::uint64_t tree = kNoAddress, heap = kNoAddress;
    bool operator==(const Hdf5SymbolTable&) const = default;
};

struct Hdf5Object {
    std::optional<Hdf5SymbolTable> group;  // else it is a dataset
    Hdf5Dataset dataset;                   // of a group, the attributes alone
};

// The object called `name`, whose header stands at `address`, which `from` has just read.
// ExitCode::Checkpoint for everything but what Sluice writes.
Hdf5Object read_hdf5_object(Hdf5Bytes& file, std::uint64_t address, std::string_view name,
                            const Hdf5Cursor& from);

// The extension of the superblock, an object too, which says how space in the file is managed.
void check_superblock_extension(Hdf5Bytes& file, std::uint64_t address, const Hdf5Cursor& from);

}  // namespace sluice
