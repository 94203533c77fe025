#include "checkpoint/hdf5_groups.hpp"

#include <array>
#include <optional>

namespace sluice {
namespace {

// A group's entries stand in the leaves of a B-tree (III.A.1), eight in each (III.B), their names in a heap
// (III.D). Nodes have their full size in the file, however many of their entries are used.
constexpr std::uint64_t kMostChildren = 32;
constexpr std::uint64_t kNodeBytes = 24 + (2 * kMostChildren + 1) * 8;
constexpr std::uint64_t kMostEntries = 8;
constexpr std::uint64_t kLeafBytes = 8 + kMostEntries * 40;
constexpr std::uint64_t kHeapHeaderBytes = 32;
constexpr std::size_t kHighestLevel = 7;  // over a leaf; a level is 16 to 32 times as wide as the one above
constexpr std::size_t kLongestName = 255;
constexpr std::uint64_t kNothingFree = 1;

class Heap {
public:
    Heap(Hdf5Bytes& file, std::uint64_t address, const Hdf5Cursor& from) {
        Hdf5Cursor header = file.claim(address, kHeapHeaderBytes, from, "a heap");
        header.expect_text("HEAP", "a heap's signature");
        header.expect_number(4, 0, "a heap of version");
        const std::uint64_t bytes = header.number(8);
        const std::uint64_t free = header.number(8);
        if (free != kNothingFree && free >= bytes)
            header.refuse("free space at {} of a heap of {} bytes", free, bytes);
        names_ = file.claim(header.number(8), bytes, header, "a heap's data").text(bytes);
    }

    // Empty for the heap's first, which is that of no entry.
    std::string_view name(std::uint64_t offset, const Hdf5Cursor& from) const {
        if (offset >= names_.size()) from.refuse("a name at {} of {} bytes of names", offset, names_.size());
        const std::string_view rest = names_.substr(offset, kLongestName + 1);
        const std::size_t end = rest.find('\0');
        if (end == std::string_view::npos) from.refuse("a name of more than {} bytes", kLongestName);
        return rest.substr(0, end);
    }

private:
    std::string_view names_;
};

class Group {
public:
    using Visit = std::function<void(const Hdf5Entry&)>;

    Group(Hdf5Bytes& file, const Hdf5SymbolTable& table, const Hdf5Cursor& from, const Visit& visit)
        : file_(file), heap_(file, table.heap, from), visit_(visit) {
        read_node(table.tree, {}, from);
        for (const Level& level : levels_)
            if (level.next != kNoAddress) from.refuse("the group's B-tree lacks a node at {}", level.next);
    }

private:
    // A level's nodes are linked to both sides.
    struct Level {
        std::uint64_t last = kNoAddress, next = kNoAddress;
    };

    // Without a level, of the root.
    void read_node(std::uint64_t address, std::optional<std::uint64_t> expected_level,
                   const Hdf5Cursor& from) {
        Hdf5Cursor node = file_.claim(address, kNodeBytes, from, "a B-tree node");
        node.expect_text("TREE", "a B-tree node's signature");
        node.expect_number(1, 0, "a B-tree of type");
        const std::uint64_t level = node.number(1);
        if (level > kHighestLevel || level != expected_level.value_or(level))
            node.refuse("a B-tree node of level {}", level);
        const std::uint64_t children = node.number(2);
        const bool empty_group = children == 0 && !expected_level && level == 0;
        if (children > kMostChildren || (children == 0 && !empty_group))
            node.refuse("a B-tree node with {} children", children);
        check_links(levels_[level], address, node);

        // Each key is the last name before it: so a search finds what this walk does.
        check_key(node);
        for (std::uint64_t i = 0; i < children; ++i) {
            const std::uint64_t child = node.number(8);
            if (level == 0)
                read_leaf(child, node);
            else
                read_node(child, level - 1, node);
            check_key(node);
        }
    }

    static void check_links(Level& level, std::uint64_t address, Hdf5Cursor& node) {
        const std::uint64_t left = node.number(8);
        const bool first = level.last == kNoAddress;
        if (left != level.last || (!first && level.next != address))
            node.refuse("a B-tree node linked to others than its neighbours");
        level = {address, node.number(8)};
    }

    void check_key(Hdf5Cursor& node) const {
        if (heap_.name(node.number(8), node) != last_)
            node.refuse("a B-tree key that differs from the name before it");
    }

    void read_leaf(std::uint64_t address, const Hdf5Cursor& from) {
        Hdf5Cursor leaf = file_.claim(address, kLeafBytes, from, "a symbol table node");
        leaf.expect_text("SNOD", "a symbol table node's signature");
        leaf.expect_number(2, 1, "a symbol table node of version");
        const std::uint64_t entries = leaf.number(2);
        if (entries == 0 || entries > kMostEntries) leaf.refuse("a symbol table node of {} entries", entries);
        for (std::uint64_t i = 0; i < entries; ++i) read_entry(leaf);
    }

    void read_entry(Hdf5Cursor& leaf) {
        const std::string_view name = heap_.name(leaf.number(8), leaf);
        if (!usable_hdf5_name(name) || name == "." || name == "..") leaf.refuse("an unusable name");
        if (name <= last_) leaf.refuse("name \"{}\" after \"{}\"", name, last_);
        last_ = name;
        Hdf5SymbolTable table;
        const std::uint64_t header = leaf.number(8);
        const std::uint64_t kind = leaf.number(4);
        if (kind > 1) leaf.refuse("an entry of kind {}, such as a symbolic link; Sluice writes none", kind);
        leaf.expect_number(4, 0, "reserved bytes");
        table.tree = leaf.number(8);
        table.heap = leaf.number(8);
        visit_({name, header, kind == 1 ? std::optional(table) : std::nullopt, leaf});
    }

    Hdf5Bytes& file_;
    Heap heap_;
    const Visit& visit_;
    std::string_view last_;
    std::array<Level, kHighestLevel + 1> levels_;
};

}  // namespace

void for_each_entry(Hdf5Bytes& file, const Hdf5SymbolTable& table, const Hdf5Cursor& from,
                    const std::function<void(const Hdf5Entry&)>& visit) {
    Group(file, table, from, visit);
}

}  // namespace sluice
