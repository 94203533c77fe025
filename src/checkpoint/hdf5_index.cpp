#include "checkpoint/hdf5_index.hpp"

#include "checkpoint/hdf5_groups.hpp"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
constexpr std::uint64_t kUserBlockBytes = 4096;
constexpr int kDeepestGroup = 8;
constexpr std::size_t kLongestPath = 255;

class Reader {
public:
    Reader(std::span<const std::byte> metadata, std::uint64_t file_size, std::string where)
        : file_(metadata, file_size, std::move(where)) {}

    // The root group's attributes.
    Hdf5Attributes read() {
        Hdf5Cursor superblock = find_superblock();
        const Hdf5Object root = read_superblock(superblock);
        read_group("", *root.group, superblock, 1);
        file_.check_overlaps();
        std::ranges::sort(datasets_, {}, &Hdf5Index::Entry::first);
        return root.dataset.attributes;
    }

    std::vector<Hdf5Index::Entry> take_datasets() { return std::move(datasets_); }

private:
    // At the file's begin, or behind a block of ours; addresses count from there.
    Hdf5Cursor find_superblock() {
        Hdf5Cursor start = file_.all();
        if (start.left() >= kSignature.size() && start.text(kSignature.size()) != kSignature &&
            file_.all().left() >= kUserBlockBytes)
            file_.set_base(kUserBlockBytes);
        Hdf5Cursor superblock = file_.claim(0, kSuperblockBytes, start, "the superblock");
        superblock.expect_text(kSignature, "HDF5's signature");
        return superblock;
    }

    // Version 2 (II.B). Its own checksum is left alone, like HDF5's other redundancy: whoever damages a file
    // by accident is told by the checksum of all metadata, and whoever does it on purpose knows how to
    // compute it.
    Hdf5Object read_superblock(Hdf5Cursor& superblock) {
        superblock.expect_number(1, 2, "a superblock of version");
        superblock.expect_number(1, 8, "offsets of size");
        superblock.expect_number(1, 8, "lengths of size");
        superblock.expect_number(1, 0, "the file was not closed: flags");
        superblock.expect_number(8, file_.base(), "the base address is");
        const std::uint64_t extension = superblock.number(8);
        if (extension == kNoAddress) superblock.refuse("a superblock without an extension");
        const std::uint64_t end = superblock.number(8);
        if (end != file_.file_size())
            superblock.refuse("the file should have {} bytes, but has {}: it is cut short", end,
                              file_.file_size());
        check_superblock_extension(file_, extension, superblock);
        Hdf5Object root = read_hdf5_object(file_, superblock.number(8), "/", superblock);
        if (!root.group) superblock.refuse("the root is not a group");
        return root;
    }

    void read_group(const std::string& path, const Hdf5SymbolTable& table, const Hdf5Cursor& from,
                    int depth) {
        if (depth > kDeepestGroup) from.refuse("groups in groups, more than {} deep", kDeepestGroup);
        for_each_entry(file_, table, from, [&](const Hdf5Entry& entry) { read_entry(path, entry, depth); });
    }

    void read_entry(const std::string& group, const Hdf5Entry& entry, int depth) {
        std::string path = fmt::format("{}/{}", group, entry.name);
        if (path.size() > kLongestPath) entry.from.refuse("a name of more than {} bytes", kLongestPath);
        Hdf5Object object = read_hdf5_object(file_, entry.header, path, entry.from);
        if (entry.group != object.group) entry.from.refuse("{}: the entry and the object differ", path);
        if (!object.group) {
            datasets_.emplace_back(std::move(path), std::move(object.dataset));
            return;
        }
        const bool bare =
            object.dataset.attributes.texts.empty() && object.dataset.attributes.numbers.empty();
        if (!bare) entry.from.refuse("group {} has attributes; Sluice writes none", path);
        const std::size_t before = datasets_.size();
        read_group(path, *object.group, entry.from, depth + 1);
        if (datasets_.size() == before) entry.from.refuse("group {} is empty", path);
    }

    static constexpr std::uint64_t kSuperblockBytes = 48;

    Hdf5Bytes file_;
    std::vector<Hdf5Index::Entry> datasets_;
};

}  // namespace

Hdf5Index Hdf5Index::read(std::span<const std::byte> metadata, std::uint64_t file_size, std::string where) {
    expect(metadata.size() <= file_size, "{}: {} bytes of metadata in a file of {}", where, metadata.size(),
           file_size);
    Reader reader(metadata, file_size, std::move(where));
    Hdf5Index index;
    index.root_attributes_ = reader.read();
    index.datasets_ = reader.take_datasets();
    return index;
}

const Hdf5Dataset* Hdf5Index::find(std::string_view name) const {
    const auto found = std::ranges::lower_bound(datasets_, name, {}, &Entry::first);
    return found != datasets_.end() && found->first == name ? &found->second : nullptr;
}

std::vector<std::string> Hdf5Index::names_in(std::string_view group) const {
    const std::string prefix = fmt::format("{}/", group == "/" ? "" : group);
    std::vector<std::string> names;
    auto entry = std::ranges::lower_bound(datasets_, prefix, {}, &Entry::first);
    for (; entry != datasets_.end() && entry->first.starts_with(prefix); ++entry) {
        std::string name = entry->first.substr(prefix.size());
        name.resize(std::min(name.size(), name.find('/')));
        if (names.empty() || names.back() != name) names.push_back(std::move(name));
    }
    std::ranges::sort(names);  // "a" stands before "a.b", but "a/c" behind it
    return names;
}

}  // namespace sluice
