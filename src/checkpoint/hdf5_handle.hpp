// HDF5 behind small owning handles. Only for .cpp files of this folder: it brings in hdf5.h.
//
// HDF5 may be built without thread safety, so every use of these functions holds hdf5_lock(); handles take it
// themselves to close.
#pragma once

#include "core/dtype.hpp"
#include "core/error.hpp"
#include "core/tensor.hpp"

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace sluice::h5 {

std::unique_lock<std::recursive_mutex> hdf5_lock();

// Closes what it owns.
class Handle {
public:
    using Close = herr_t (*)(hid_t);
    Handle() = default;
    Handle(hid_t id, Close close) : id_(id), close_(close) {}
    Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
    Handle& operator=(Handle&& other) noexcept {
        std::swap(id_, other.id_);
        std::swap(close_, other.close_);
        return *this;
    }
    ~Handle() { reset(); }

    hid_t get() const { return id_; }
    bool valid() const { return id_ >= 0; }
    // The status of closing: files report late write errors here.
    bool reset();

private:
    hid_t id_ = -1;
    Close close_ = nullptr;
};

// Fails with `what` and the library's reason.
void check(bool ok, ExitCode code, const std::string& what);

Handle create_file(const std::filesystem::path& path);   // for laying out datasets, without data
Handle open_to_fill(const std::filesystem::path& path);  // raw data goes to multiples of 4 KiB
Handle open_to_read(const std::filesystem::path& path);

// A new dataset with its groups; contiguous, without fill values or times.
Handle create_dataset(hid_t file, const std::string& name, DType dtype, const Shape& shape);
Handle open_dataset(hid_t file, const std::string& name);  // invalid where there is none

// Gives a dataset its place in a file that is open to be filled, behind all others. Without elements there is
// none to give.
void allocate(hid_t dataset, const std::string& name);

// Where in the file a dataset's values begin; empty where they have no place, or several.
std::optional<std::uint64_t> place_of(hid_t dataset);

void set_attribute(hid_t object, const char* name,
                   const std::string& value);                   // creates it, or overwrites its equal
void set_attribute(hid_t object, const char* name, int value);  // in length

}  // namespace sluice::h5
