#include "checkpoint/hdf5_handle.hpp"

#include "checkpoint/metadata_block.hpp"

#include <array>
#include <vector>

namespace sluice::h5 {
namespace {

constexpr hsize_t kAlignment = 4096;
constexpr const char* kDTypeAttribute = "dtype";

// bfloat16 is the upper half of a float32; HDF5 needs the fields first, then the width.
Handle bf16_type() {
    Handle type(H5Tcopy(H5T_IEEE_F32LE), H5Tclose);
    const bool ok = H5Tset_fields(type.get(), 15, 7, 8, 0, 7) >= 0 && H5Tset_precision(type.get(), 16) >= 0 &&
                    H5Tset_size(type.get(), 2) >= 0 && H5Tset_ebias(type.get(), 127) >= 0;
    check(ok, ExitCode::Internal, "HDF5's bfloat16 type");
    return type;
}

// fp8 is stored as bytes and named by an attribute: HDF5 takes e4m3's top exponent for infinity.
Handle file_type(DType dtype) {
    switch (dtype) {
        case DType::F32: return {H5Tcopy(H5T_IEEE_F32LE), H5Tclose};
        case DType::BF16: return bf16_type();
        case DType::I32: return {H5Tcopy(H5T_STD_I32LE), H5Tclose};
        case DType::I8: return {H5Tcopy(H5T_STD_I8LE), H5Tclose};
        case DType::F8E4M3:
        case DType::U8: return {H5Tcopy(H5T_STD_U8LE), H5Tclose};
    }
    return {};
}

Handle text_type(std::size_t length) {
    Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    check(H5Tset_size(type.get(), length + 1) >= 0, ExitCode::Internal, "HDF5's string type");
    return type;
}

Handle attribute(hid_t object, const char* name, const Handle& type) {
    if (H5Aexists(object, name) > 0) return {H5Aopen(object, name, H5P_DEFAULT), H5Aclose};
    const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    return {H5Acreate2(object, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose};
}

void write_attribute(hid_t object, const char* name, const Handle& type, const void* value) {
    const Handle target = attribute(object, name, type);
    check(target.valid() && H5Awrite(target.get(), type.get(), value) >= 0, ExitCode::File,
          fmt::format("cannot write attribute {}", name));
}

herr_t keep_innermost(unsigned depth, const H5E_error2_t* error, void* out) {
    if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
    return 0;
}

// The library's own for the last failure.
std::string reason() {
    std::string text;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &text);
    return text.empty() ? "HDF5 gives no reason" : text;
}

// On standard error. The setting belongs to a thread's error stack where the library is built for threads.
void silence() {
    static thread_local const bool done = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
    (void)done;
}

// Parallel file systems often come without locks: what HDF5 would then refuse, it does unlocked.
Handle file_access() {
    Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    check(H5Pset_file_locking(access.get(), 1, 1) >= 0, ExitCode::Internal, "HDF5's file locking");
    // Our reader knows the oldest forms of groups and objects, whatever later libraries prefer.
    check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V110) >= 0, ExitCode::Internal,
          "HDF5's format");
    return access;
}

}  // namespace

std::unique_lock<std::recursive_mutex> hdf5_lock() {
    static std::recursive_mutex mutex;
    std::unique_lock lock(mutex);
    silence();
    return lock;
}

bool Handle::reset() {
    if (id_ < 0) return true;
    const auto lock = hdf5_lock();
    return close_(std::exchange(id_, -1)) >= 0;
}

void check(bool ok, ExitCode code, const std::string& what) {
    if (!ok) fail(code, "{}: {}", what, reason());
}

// HDF5's default, oldest layout of groups and objects: every reader knows it.
Handle create_file(const std::filesystem::path& path) {
    const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
    H5Pset_obj_track_times(creation.get(), 0);
    H5Pset_userblock(creation.get(), kMetadataBlockBytes);
    // Nothing is ever freed, and the free-space manager's search for aligned space is linear in its
    // fragments.
    H5Pset_file_space_strategy(creation.get(), H5F_FSPACE_STRATEGY_NONE, 0, 1);
    const Handle access = file_access();
    Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose);
    check(file.valid(), ExitCode::File, fmt::format("cannot create {}", path.string()));
    return file;
}

// Alignment applies to whatever is allocated through the handle; here that is raw data alone, because the
// datasets, groups and attributes exist already. Metadata stays packed.
Handle open_to_fill(const std::filesystem::path& path) {
    const Handle access = file_access();
    H5Pset_alignment(access.get(), 1, kAlignment);
    H5Pset_sieve_buf_size(access.get(), 0);  // what is written here is never read here
    Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), H5Fclose);
    check(file.valid(), ExitCode::File, fmt::format("cannot open {}", path.string()));
    return file;
}

Handle open_to_read(const std::filesystem::path& path) {
    const Handle access = file_access();
    Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
    check(file.valid(), ExitCode::File, fmt::format("cannot open {}", path.string()));
    return file;
}

Handle create_dataset(hid_t file, const std::string& name, DType dtype, const Shape& shape) {
    std::vector<hsize_t> dims;
    for (int axis = 0; axis < shape.rank(); ++axis) dims.push_back(static_cast<hsize_t>(shape[axis]));
    const Handle space(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose);
    const Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
    H5Pset_create_intermediate_group(links.get(), 1);
    const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_layout(creation.get(), H5D_CONTIGUOUS);
    H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_LATE);
    H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(creation.get(), 0);
    const Handle type = file_type(dtype);
    Handle dataset(
        H5Dcreate2(file, name.c_str(), type.get(), space.get(), links.get(), creation.get(), H5P_DEFAULT),
        H5Dclose);
    check(dataset.valid(), ExitCode::File, fmt::format("cannot create dataset {}", name));
    if (dtype == DType::F8E4M3) set_attribute(dataset.get(), kDTypeAttribute, std::string(name_of(dtype)));
    return dataset;
}

Handle open_dataset(hid_t file, const std::string& name) {
    return {H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose};
}

// HDF5 allocates what is written to for the first time, however little that is.
void allocate(hid_t dataset, const std::string& name) {
    const Handle target(H5Dget_space(dataset), H5Sclose);
    if (H5Sget_simple_extent_npoints(target.get()) == 0) return;
    const Handle type(H5Dget_type(dataset), H5Tclose);  // as in the file: no conversion
    const Handle source(H5Screate(H5S_SCALAR), H5Sclose);
    const std::array<hsize_t, 4> first{};
    const std::uint64_t zero = 0;
    const bool ok = H5Sselect_elements(target.get(), H5S_SELECT_SET, 1, first.data()) >= 0 &&
                    H5Dwrite(dataset, type.get(), source.get(), target.get(), H5P_DEFAULT, &zero) >= 0;
    check(ok, ExitCode::File, fmt::format("cannot allocate dataset {}", name));
}

// H5Dget_offset adds the user block's size to an undefined address, too, so it alone does not tell.
std::optional<std::uint64_t> place_of(hid_t dataset) {
    const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
    H5D_space_status_t status{};
    if (H5Pget_layout(creation.get()) != H5D_CONTIGUOUS || H5Dget_space_status(dataset, &status) < 0 ||
        status != H5D_SPACE_STATUS_ALLOCATED)
        return std::nullopt;
    const haddr_t offset = H5Dget_offset(dataset);
    return offset == HADDR_UNDEF ? std::nullopt : std::optional<std::uint64_t>(offset);
}

void set_attribute(hid_t object, const char* name, const std::string& value) {
    write_attribute(object, name, text_type(value.size()), value.c_str());
}

void set_attribute(hid_t object, const char* name, int value) {
    const Handle type(H5Tcopy(H5T_STD_I32LE), H5Tclose);
    write_attribute(object, name, type, &value);
}

}  // namespace sluice::h5
