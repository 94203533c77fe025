#include "checkpoint/metadata_block.hpp"

#include "checkpoint/layout.hpp"
#include "checkpoint/output_file.hpp"
#include "core/error.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <span>
#include <string_view>
#include <vector>

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "SLUICE";
constexpr std::string_view kHdf5Signature = "\x89HDF\r\n\x1a\n";
constexpr std::uint64_t kLongest = std::uint64_t{1} << 30;

struct MetadataBlock {
    std::array<char, kMagic.size()> magic{};
    std::uint16_t version = 0;
    std::uint64_t length = 0, checksum = 0;
};
static_assert(sizeof(MetadataBlock) == 24);

void check_version(const MetadataBlock& block, const std::string& where) {
    const std::string_view begin(reinterpret_cast<const char*>(&block), kHdf5Signature.size());
    require(begin != kHdf5Signature, ExitCode::Checkpoint,
            "{}: format version 1, or no file of Sluice's; this program reads version {}: shard again", where,
            kFormatVersion);
    const std::string_view magic(block.magic.data(), block.magic.size());
    require(magic != std::string(kMagic.size(), '\0'), ExitCode::Checkpoint,
            "{}: the file was never finished: shard again", where);
    require(magic == kMagic, ExitCode::Checkpoint, "{}: not a file of a Sluice checkpoint", where);
    require(block.version == kFormatVersion, ExitCode::Checkpoint,
            "{}: format version {}; this program reads version {}: shard again", where, block.version,
            kFormatVersion);
}

}  // namespace

void write_metadata_block(const std::filesystem::path& path, std::uint64_t end) {
    MetadataBlock block{{}, kFormatVersion, end - kMetadataBlockBytes, 0};
    std::ranges::copy(kMagic, block.magic.begin());
    require(end >= kMetadataBlockBytes && block.length <= kLongest, ExitCode::File,
            "{}: its metadata would end at byte {}", path.string(), end);
    const OutputFile file(path, OutputFile::Mode::Fill);
    std::vector<std::byte> metadata(block.length);
    file.read(kMetadataBlockBytes, metadata);
    block.checksum = checksum_of(metadata.data(), metadata.size());
    file.write(0, std::as_bytes(std::span(&block, 1)));
}

std::vector<std::byte> check_metadata(const InputFile& file) {
    const std::string where = file.path().string();
    MetadataBlock block;
    require(file.size() >= sizeof block, ExitCode::Checkpoint,
            "{}: not a file of a Sluice checkpoint: it has less than {} bytes", where, sizeof block);
    file.read(0, std::as_writable_bytes(std::span(&block, 1)));
    check_version(block, where);
    require(block.length <= kLongest && block.length + kMetadataBlockBytes <= file.size(),
            ExitCode::Checkpoint,
            "{}: {} bytes of metadata in a file of {}: it is altered or cut short; restore the file or shard "
            "again",
            where, block.length, file.size());
    std::vector<std::byte> bytes(kMetadataBlockBytes + block.length);
    file.read(0, bytes);
    const std::uint64_t found = checksum_of(bytes.data() + kMetadataBlockBytes, block.length);
    require(found == block.checksum, ExitCode::Checkpoint,
            "{}: its metadata is altered: the checksum is {}, but {} was written; restore the file or shard "
            "again",
            where, checksum_text(found), checksum_text(block.checksum));
    return bytes;
}

}  // namespace sluice
