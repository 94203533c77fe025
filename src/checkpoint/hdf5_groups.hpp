// The entries of an HDF5 file's groups.
#pragma once

#include "checkpoint/hdf5_object.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

namespace sluice {

// One entry of a group: its name, and where the object's header stands.
struct Hdf5Entry {
    std::string_view name;
    std::uint64_t header = kNoAddress;
    std::optional<Hdf5SymbolTable> group;  // what the entry itself says of a group
    Hdf5Cursor from;                       // has just read the entry
};

// Visits a group's entries in the order of their names, no name twice. `from` has just read the table's
// addresses. ExitCode::Checkpoint for everything but what Sluice writes.
void for_each_entry(Hdf5Bytes& file, const Hdf5SymbolTable& table, const Hdf5Cursor& from,
                    const std::function<void(const Hdf5Entry&)>& visit);

}  // namespace sluice
