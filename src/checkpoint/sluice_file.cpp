#include "checkpoint/sluice_file.hpp"

#include "checkpoint/checksum.hpp"
#include "checkpoint/layout.hpp"
#include "checkpoint/metadata_block.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <span>
#include <vector>

namespace sluice {
namespace {

// A piece that has come is hashed while it is still in the cache.
constexpr std::uint64_t kReadBytes = 256 << 10;

std::optional<int> number(const Hdf5Attributes& attributes, std::string_view name) {
    const auto found = attributes.numbers.find(name);
    return found == attributes.numbers.end() ? std::nullopt : std::optional(found->second);
}

std::string text(const Hdf5Attributes& attributes, std::string_view name) {
    const auto found = attributes.texts.find(name);
    return found == attributes.texts.end() ? "" : found->second;
}

}  // namespace

SluiceFile::SluiceFile(const std::filesystem::path& path, int slice, int slices)
    : file_(path), index_(Hdf5Index::read(check_metadata(file_), file_.size(), path.string())) {
    const std::string where = path.string();
    const Hdf5Attributes& attributes = index_.attributes();
    require(text(attributes, "format") == kFormatName, ExitCode::Checkpoint,
            "{}: not a file of a Sluice checkpoint", where);
    const int version = number(attributes, "version").value_or(0);
    require(version == kFormatVersion, ExitCode::Checkpoint,
            "{}: format version {}; this program reads version {}", where, version, kFormatVersion);
    slices_ = number(attributes, "slices").value_or(0);
    const int own = number(attributes, "slice").value_or(kCommonIndex - 1);
    require(slices_ >= 1 && slices_ <= 1'000'000 && own >= kCommonIndex && own < slices_,
            ExitCode::Checkpoint, "{}: the file says that it is slice {} of {}", where, own, slices_);
    require(own == slice && (slices == 0 || slices_ == slices), ExitCode::Checkpoint,
            "{}: the file was written as {}: was it renamed?", where, checkpoint_file_name(own, slices_));
    id_ = text(attributes, kIdAttribute);
    require(id_ != std::string(ContentId::kDigits, '0'), ExitCode::Checkpoint,
            "{}: the checkpoint's id is missing: the file was never finished", where);
    // Folders are named by it.
    require(
        id_.size() == ContentId::kDigits && id_.find_first_not_of("0123456789abcdef") == std::string::npos,
        ExitCode::Checkpoint, "{}: the checkpoint's id is none that Sluice gives: shard again", where);
}

std::map<std::string, std::string> SluiceFile::text_attributes() const {
    const auto& texts = index_.attributes().texts;
    return {texts.begin(), texts.end()};
}

std::vector<std::string> SluiceFile::names_in(const std::string& group) const {
    return index_.names_in(group);
}

std::vector<std::string> SluiceFile::names() const {
    std::set<std::string> names;
    for (const auto& [name, dataset] : index_.datasets())
        for (std::size_t end = name.size(); end > 0; end = name.rfind('/', end - 1))
            names.insert(name.substr(0, end));
    return {names.begin(), names.end()};
}

StoredDataset SluiceFile::find(const std::string& name) const {
    const Hdf5Dataset* dataset = index_.find(name);
    require(dataset != nullptr, ExitCode::Checkpoint, "{}: {} is missing", path().string(), name);
    StoredDataset found;
    found.dtype = dataset->dtype;
    found.shape = dataset->shape;
    found.offset = dataset->offset;
    found.bytes = dataset->bytes;
    found.checksum = text(dataset->attributes, kChecksumAttribute);
    require(!found.checksum.empty(), ExitCode::Checkpoint,
            "{}: {} has no checksum: restore the file or shard again", path().string(), name);
    found.numbers.insert(dataset->attributes.numbers.begin(), dataset->attributes.numbers.end());
    return found;
}

void SluiceFile::read(const std::string& name, const StoredBytes& stored, void* out) const {
    auto* at = static_cast<std::byte*>(out);
    Checksum hash;
    for (std::uint64_t done = 0; done < stored.bytes;) {
        const auto count = static_cast<std::size_t>(std::min(kReadBytes, stored.bytes - done));
        const std::span<std::byte> piece(at + done, count);
        file_.read(stored.offset + done, piece);
        hash.add(piece);
        done += count;
    }
    const std::string checksum = checksum_text(hash.value());
    require(checksum == stored.checksum, ExitCode::Checkpoint,
            "{}: {} is altered: its checksum is {}, but {} was written; restore the file or shard again",
            path().string(), name, checksum, stored.checksum);
}

}  // namespace sluice
