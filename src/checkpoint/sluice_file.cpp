#include "checkpoint/sluice_file.hpp"

#include "checkpoint/layout.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

namespace sluice {
namespace {

constexpr std::array kNumbers{"block_rows", "block_cols", "row_offset", "col_offset"};
constexpr std::uint64_t kReadBytes = 64 << 20;

herr_t add_name(hid_t, const char* name, const H5L_info_t*, void* out) {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
}

herr_t add_attribute(hid_t, const char* name, const H5A_info_t*, void* out) {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
}

}  // namespace

SluiceFile::SluiceFile(const std::filesystem::path& path, int slice, int slices) : path_(path) {
    const auto lock = h5::hdf5_lock();
    const std::string where = path_.string();
    file_ = h5::open_to_read(path_);
    const auto format = h5::text_attribute(file_.get(), "format");
    require(format == std::string(kFormatName), ExitCode::Checkpoint, "{}: not a file of a Sluice checkpoint",
            where);
    const auto version = h5::int_attribute(file_.get(), "version");
    require(version == kFormatVersion, ExitCode::Checkpoint,
            "{}: format version {}; this program reads version {}", where, version.value_or(0),
            kFormatVersion);
    slices_ = h5::int_attribute(file_.get(), "slices").value_or(0);
    const int own = h5::int_attribute(file_.get(), "slice").value_or(kCommonIndex - 1);
    require(slices_ >= 1 && slices_ <= 1'000'000 && own >= kCommonIndex && own < slices_,
            ExitCode::Checkpoint, "{}: the file says that it is slice {} of {}", where, own, slices_);
    require(own == slice && (slices == 0 || slices_ == slices), ExitCode::Checkpoint,
            "{}: the file was written as {}: was it renamed?", where, checkpoint_file_name(own, slices_));
    id_ = h5::text_attribute(file_.get(), "checkpoint_id").value_or("");
    require(id_.size() == ContentId::kDigits && id_ != std::string(ContentId::kDigits, '0'),
            ExitCode::Checkpoint, "{}: the checkpoint's id is missing: the file was never finished", where);
    descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    const bool ok = descriptor_ >= 0 && ::fstat(descriptor_, &status) == 0;
    require(ok, ExitCode::Checkpoint, "cannot read {}: {}", where, std::strerror(errno));
    size_ = static_cast<std::uint64_t>(status.st_size);
}

SluiceFile::~SluiceFile() {
    const auto lock = h5::hdf5_lock();
    file_.reset();
    if (descriptor_ >= 0) ::close(descriptor_);
}

std::map<std::string, std::string> SluiceFile::text_attributes() const {
    const auto lock = h5::hdf5_lock();
    std::vector<std::string> names;
    H5Aiterate2(file_.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, add_attribute, &names);
    std::map<std::string, std::string> texts;
    for (const std::string& name : names)
        if (const auto text = h5::text_attribute(file_.get(), name.c_str())) texts.emplace(name, *text);
    return texts;
}

std::vector<std::string> SluiceFile::names_in(const std::string& group) const {
    const auto lock = h5::hdf5_lock();
    const h5::Handle opened(H5Gopen2(file_.get(), group.c_str(), H5P_DEFAULT), H5Gclose);
    std::vector<std::string> names;
    if (opened.valid()) H5Literate(opened.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, add_name, &names);
    return names;
}

StoredDataset SluiceFile::find(const std::string& name) const {
    const auto lock = h5::hdf5_lock();
    const std::string where = fmt::format("{}: {}", path_.string(), name);
    const h5::Handle dataset = h5::open_dataset(file_.get(), name);
    h5::check(dataset.valid(), ExitCode::Checkpoint, where + " is missing or damaged");
    StoredDataset found;
    found.dtype = h5::dtype_of(dataset.get());
    const auto shape = h5::shape_of(dataset.get());
    require(found.dtype.has_value() && shape.has_value(), ExitCode::Checkpoint,
            "{}: its type or shape is none that Sluice writes", where);
    found.shape = *shape;
    found.bytes = static_cast<std::uint64_t>(shape->elements()) * size_of(*found.dtype);
    found.checksum = h5::text_attribute(dataset.get(), "xxh3_64").value_or("");
    for (const char* attribute : kNumbers)
        if (const auto number = h5::int_attribute(dataset.get(), attribute))
            found.numbers[attribute] = *number;
    if (found.bytes == 0) return found;

    const h5::Handle creation(H5Dget_create_plist(dataset.get()), H5Pclose);
    const haddr_t offset = H5Dget_offset(dataset.get());
    require(H5Pget_layout(creation.get()) == H5D_CONTIGUOUS && offset != HADDR_UNDEF, ExitCode::Checkpoint,
            "{}: not stored in one piece", where);
    require(found.bytes <= size_ && offset <= size_ - found.bytes, ExitCode::Checkpoint,
            "{}: bytes {} to {} of a file of {}: it is cut short", where, offset, offset + found.bytes,
            size_);
    found.offset = offset;
    return found;
}

void SluiceFile::read(const std::string& name, const StoredDataset& dataset, void* out) const {
    auto* at = static_cast<char*>(out);
    for (std::uint64_t done = 0; done < dataset.bytes;) {
        const auto count = static_cast<std::size_t>(std::min(kReadBytes, dataset.bytes - done));
        const ssize_t got = ::pread(descriptor_, at + done, count, static_cast<off_t>(dataset.offset + done));
        if (got < 0 && errno == EINTR) continue;
        require(got > 0, ExitCode::Checkpoint, "{}: cannot read {}: {}", path_.string(), name,
                got == 0 ? "the file is cut short" : std::strerror(errno));
        done += static_cast<std::uint64_t>(got);
    }
    const std::string checksum = checksum_text(checksum_of(out, dataset.bytes));
    require(checksum == dataset.checksum, ExitCode::Checkpoint,
            "{}: {} is altered: its checksum is {}, but {} was written; restore the file or shard again",
            path_.string(), name, checksum, dataset.checksum.empty() ? "none" : dataset.checksum);
}

}  // namespace sluice
