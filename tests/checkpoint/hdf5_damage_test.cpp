// Each field of an HDF5 file's metadata with a value that it must not have.
#include "checkpoint/hdf5_image.hpp"
#include "checkpoint/hdf5_index.hpp"
#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

// A file without a user block, so that its addresses are offsets.
class Bytes {
public:
    explicit Bytes(std::string content) : content_(std::move(content)) {}

    // Where `text` stands for the nth time.
    std::size_t at(std::string_view text, int nth = 0) const {
        std::size_t found = content_.find(text);
        for (; nth > 0; --nth) found = content_.find(text, found + 1);
        if (found == std::string::npos) throw std::runtime_error(fmt::format("no {}", text));
        return found;
    }
    std::uint64_t get(std::size_t at, std::size_t bytes = 8) const {
        std::uint64_t value = 0;
        while (bytes-- > 0) value = value << 8 | static_cast<std::uint8_t>(content_.at(at + bytes));
        return value;
    }
    void put(std::size_t at, std::uint64_t value, std::size_t bytes = 8) {
        for (; bytes-- > 0; value >>= 8) content_.at(at++) = static_cast<char>(value);
    }
    // The object header of the nth entry of the nth symbol table node.
    std::size_t header(int node, int entry) const { return get(entry_at(node, entry) + 8); }
    std::size_t entry_at(int node, int entry) const {
        return at("SNOD", node) + 8 + static_cast<std::size_t>(entry) * 40;
    }
    // The body of the first message of a type in an object's first block.
    std::size_t message(std::size_t header, std::uint64_t type) const {
        std::size_t at = header + 16;
        while (get(at, 2) != type) at += 8 + get(at + 2, 2);
        return at + 8;
    }
    void keep(std::size_t bytes) { content_.resize(bytes); }
    const std::string& content() const { return content_; }

private:
    std::string content_;
};

constexpr std::size_t kExtension = 20, kFileEnd = 28, kRoot = 36;  // fields of the superblock
constexpr int kRootNode = 0, kGroupNode = 1;                       // in the order in which they stand
constexpr int kX = 0, kY = 1;                                      // entries of group a
constexpr int kA = 0, kZ = 1;                                      // entries of the root

class Hdf5Damage : public testing::Test {
protected:
    void SetUp() override {
        make({{"/a/x", DType::F32, {2, 3}, {}},
              {"/a/y", DType::F32, {8, 4, 2}, {{"block_rows", 128}}},
              {"/z", DType::BF16, {4096}, {}}});
        const Bytes bytes(whole_);
        ASSERT_EQ(bytes.get(bytes.entry_at(kRootNode, kA) + 16, 4), 1U) << "the first entry is not the group";
    }

    void make(const std::vector<test::DatasetImage>& datasets) {
        test::write_hdf5(folder_ / "file.h5", {datasets, {}, 0, {}});
        whole_ = content_of(folder_ / "file.h5");
        ASSERT_EQ(parse(whole_, whole_.size()).datasets().size(), datasets.size());
    }

    static Hdf5Index parse(const std::string& content, std::size_t file_size) {
        return Hdf5Index::read(std::as_bytes(std::span(content)), file_size, "file.h5");
    }

    void refused(std::string_view reason, const std::function<void(Bytes&)>& damage) const {
        SCOPED_TRACE(reason);
        Bytes bytes(whole_);
        damage(bytes);
        ASSERT_NE(bytes.content(), whole_);
        expect_error([&] { parse(bytes.content(), whole_.size()); }, ExitCode::Checkpoint,
                     {"file.h5: byte ", reason});
    }

    ScratchFolder folder_;
    std::string whole_;
};

TEST_F(Hdf5Damage, Superblock) {
    refused("a superblock of version 1; Sluice writes 2", [](Bytes& b) { b.put(8, 1, 1); });
    refused("offsets of size 4", [](Bytes& b) { b.put(9, 4, 1); });
    refused("lengths of size 2", [](Bytes& b) { b.put(10, 2, 1); });
    refused("the file was not closed", [](Bytes& b) { b.put(11, 1, 1); });
    refused("byte 12: the base address is 4096", [](Bytes& b) { b.put(12, 4096); });
    refused("a superblock without an extension", [](Bytes& b) { b.put(kExtension, kNoAddress); });
    refused("an object header of 16 bytes at address 18446744073709551614",
            [](Bytes& b) { b.put(kRoot, kNoAddress - 1); });
    refused("the file should have 99 bytes", [](Bytes& b) { b.put(kFileEnd, 99); });
    refused("the root is not a group", [](Bytes& b) { b.put(kRoot, b.header(kRootNode, kZ)); });
    refused("a file space strategy of 1", [](Bytes& b) { b.put(b.get(kExtension) + 25, 1, 1); });
    refused("on the whole file", [](Bytes& b) { b.put(b.get(kExtension) + 16, 8, 2); });
}

TEST_F(Hdf5Damage, Trees) {
    refused("a B-tree node's signature", [](Bytes& b) { b.put(b.at("TREE"), 0, 1); });
    refused("a B-tree of type 1", [](Bytes& b) { b.put(b.at("TREE") + 4, 1, 1); });
    refused("a B-tree node of level 70", [](Bytes& b) { b.put(b.at("TREE") + 5, 70, 1); });
    refused("a symbol table node's signature", [](Bytes& b) { b.put(b.at("SNOD"), 0, 1); });
    refused("a B-tree node's signature", [](Bytes& b) { b.put(b.at("TREE") + 5, 1, 1); });
    refused("a B-tree node with 33 children", [](Bytes& b) { b.put(b.at("TREE") + 6, 33, 2); });
    refused("a B-tree node linked to others", [](Bytes& b) { b.put(b.at("TREE") + 8, 0); });
    refused("the group's B-tree lacks a node at 96", [](Bytes& b) { b.put(b.at("TREE") + 16, 96); });
    refused("a B-tree key that differs from the name before it",
            [](Bytes& b) { b.put(b.at("TREE") + 24, 8); });
    refused("a name at 999 of", [](Bytes& b) { b.put(b.at("TREE") + 40, 999); });
    refused("/a is empty", [](Bytes& b) {
        b.put(b.at("TREE", 1) + 6, 0, 2);
        b.put(b.at("TREE", 1) + 24, 0);
    });
    refused("a B-tree node with 0 children", [](Bytes& b) {  // which is no root
        b.put(b.at("TREE") + 5, 1, 1);
        b.put(b.at("TREE") + 32, b.at("TREE", 1));
        b.put(b.at("TREE", 1) + 6, 0, 2);
    });
    refused("a symbol table node of version 2", [](Bytes& b) { b.put(b.at("SNOD") + 4, 2, 1); });
    refused("a symbol table node of 0 entries", [](Bytes& b) { b.put(b.at("SNOD") + 6, 0, 2); });
    refused("a symbol table node of 9 entries", [](Bytes& b) { b.put(b.at("SNOD") + 6, 9, 2); });
}

TEST_F(Hdf5Damage, TreesOfTwoLevels) {
    std::vector<test::DatasetImage> datasets;
    for (int i = 0; i < 300; ++i) datasets.push_back({fmt::format("/{:03}", i), DType::U8, {0}, {}});
    make(datasets);
    const auto top = [](Bytes& b) {
        int nth = 0;
        while (b.get(b.at("TREE", nth) + 5, 1) != 1) ++nth;
        return b.at("TREE", nth);
    };
    const auto child = [](std::size_t node, std::size_t i) { return node + 32 + i * 16; };
    refused("a B-tree node linked to others",
            [&](Bytes& b) { b.put(b.get(child(top(b), 0)) + 16, b.get(child(top(b), 2))); });
    refused("a B-tree node linked to others",
            [&](Bytes& b) { b.put(b.get(child(top(b), 1)) + 8, b.get(child(top(b), 2))); });
    refused("the group's B-tree lacks a node",
            [&](Bytes& b) { b.put(top(b) + 6, b.get(top(b) + 6, 2) - 1, 2); });
    refused("a B-tree node of level 0", [&](Bytes& b) { b.put(top(b) + 5, 2, 1); });
    refused("a B-tree node of level 1", [&](Bytes& b) { b.put(b.get(child(top(b), 0)) + 5, 1, 1); });
}

TEST_F(Hdf5Damage, NamesAndEntries) {
    refused("a heap's signature", [](Bytes& b) { b.put(b.at("HEAP"), 0, 1); });
    refused("a heap of version 1", [](Bytes& b) { b.put(b.at("HEAP") + 4, 1, 1); });
    refused("a heap's data of 1152921504606846976 bytes",
            [](Bytes& b) { b.put(b.at("HEAP") + 8, std::uint64_t{1} << 60); });
    refused("free space at 18446744073709551615", [](Bytes& b) { b.put(b.at("HEAP") + 16, kNoAddress); });
    refused("an unusable name", [](Bytes& b) { b.put(b.entry_at(kRootNode, kA), 0); });
    refused("name \"z\" after \"z\"",
            [](Bytes& b) { b.put(b.entry_at(kRootNode, kA), b.get(b.entry_at(kRootNode, kZ))); });
    for (const char name : {'/', '.', '\n'})
        refused("an unusable name", [&](Bytes& b) {
            b.put(b.get(b.at("HEAP", 1) + 24) + b.get(b.entry_at(kGroupNode, kX)),
                  static_cast<std::uint8_t>(name), 1);
        });
    refused("entry of kind 2", [](Bytes& b) { b.put(b.entry_at(kRootNode, kZ) + 16, 2, 4); });
    refused("/z: the entry and the object differ",
            [](Bytes& b) { b.put(b.entry_at(kRootNode, kZ) + 16, 1, 4); });
    refused("/a: the entry and the object differ",
            [](Bytes& b) { b.put(b.entry_at(kRootNode, kA) + 16, 0, 4); });
    refused("/a: the entry and the object differ",
            [](Bytes& b) { b.put(b.entry_at(kRootNode, kA) + 24, 0); });
}

TEST_F(Hdf5Damage, ObjectHeaders) {
    refused("an object header of version 2", [](Bytes& b) { b.put(b.header(kGroupNode, kX), 2, 1); });
    refused("messages in an object header that says 99",
            [](Bytes& b) { b.put(b.header(kGroupNode, kX) + 2, 99, 2); });
    refused("links to the object of 2", [](Bytes& b) { b.put(b.header(kGroupNode, kX) + 4, 2, 4); });
    refused("messages of 4294967295 bytes",
            [](Bytes& b) { b.put(b.header(kGroupNode, kX) + 8, 0xffffffff, 4); });
    refused("2 bytes should follow, but 1 are left",  // the dataspace has 8 + 40
            [](Bytes& b) { b.put(b.header(kGroupNode, kX) + 8, 49, 4); });
    refused("bytes should follow", [](Bytes& b) { b.put(b.header(kGroupNode, kX) + 18, 65528, 2); });
    refused("a shared message", [](Bytes& b) { b.put(b.header(kGroupNode, kX) + 20, 2, 1); });
    refused("a message of type 6", [](Bytes& b) { b.put(b.header(kGroupNode, kX) + 16, 6, 2); });
    refused("/a/x: neither a group nor a dataset",
            [](Bytes& b) { b.put(b.header(kGroupNode, kX) + 16, 0, 2); });
    refused("/a/x: neither a group nor a dataset",
            [](Bytes& b) { b.put(b.message(b.header(kGroupNode, kX), 8) - 8, 0, 2); });
    refused("two messages with the type of one object", [](Bytes& b) {
        const std::size_t x = b.header(kGroupNode, kX);
        for (const std::size_t i : {0, 8, 16}) b.put(b.message(x, 0x0c) + i, b.get(b.message(x, 3) + i));
        b.put(b.message(x, 0x0c) - 6, 24, 2);
        b.put(b.message(x, 0x0c) - 8, 3, 2);
    });
}

TEST_F(Hdf5Damage, Datasets) {
    const auto message = [](Bytes& b, std::uint64_t type) {
        return b.message(b.header(kGroupNode, kY), type);
    };
    refused("a dataspace of version 2", [&](Bytes& b) { b.put(message(b, 1), 2, 1); });
    refused("5 dimensions", [&](Bytes& b) { b.put(message(b, 1) + 1, 5, 1); });
    refused("dataspace flags 0", [&](Bytes& b) { b.put(message(b, 1) + 2, 0, 1); });
    refused("more than 281474976710656 elements",
            [&](Bytes& b) { b.put(message(b, 1) + 8, (std::uint64_t{1} << 48) + 1); });
    refused("more than 281474976710656 elements", [&](Bytes& b) {
        b.put(message(b, 1) + 8, std::uint64_t{1} << 40);
        b.put(message(b, 1) + 16, 257);
    });
    refused("an extensible dimension", [&](Bytes& b) { b.put(message(b, 1) + 32, kNoAddress); });
    for (std::size_t byte = 0; byte < 24; ++byte)
        refused("elements of a type", [&](Bytes& b) { b.put(message(b, 3) + byte, 0x5a, 1); });
    refused("a fill value message of version 3", [&](Bytes& b) { b.put(message(b, 5), 3, 1); });
    refused("space is allocated at time 3", [&](Bytes& b) { b.put(message(b, 5) + 1, 3, 1); });
    refused("a fill value of size 4", [&](Bytes& b) { b.put(message(b, 5) + 4, 4, 4); });
    refused("a layout message of version 4", [&](Bytes& b) { b.put(message(b, 8), 4, 1); });
    refused("values stored in chunks", [&](Bytes& b) { b.put(message(b, 8) + 1, 2, 1); });
    refused("padding 1", [&](Bytes& b) { b.put(message(b, 8) + 18, 1, 1); });
    refused("/a/y: its values were never written", [&](Bytes& b) { b.put(message(b, 8) + 2, kNoAddress); });
    refused("/a/y: 252 bytes stored, but float32 [8, 4, 2] has 256",
            [&](Bytes& b) { b.put(message(b, 8) + 10, 252); });
    refused("/a/y: 256 bytes stored, but float32 [8, 4, 3] has 384", [&](Bytes& b) {
        b.put(message(b, 1) + 24, 3);
        b.put(message(b, 1) + 48, 3);
    });
    refused("/a/y: 256 bytes of values at address 18446744073709551360",
            [&](Bytes& b) { b.put(message(b, 8) + 2, kNoAddress - 255); });
    refused("/a/y: 256 bytes of values at address",
            [&](Bytes& b) { b.put(message(b, 8) + 2, b.content().size() - 255); });
}

TEST_F(Hdf5Damage, Attributes) {
    const auto text = [](Bytes& b) { return b.message(b.header(kGroupNode, kX), 0x0c); };
    refused("an attribute message of version 3", [&](Bytes& b) { b.put(text(b), 3, 1); });
    refused("an attribute without a usable name", [&](Bytes& b) { b.put(text(b) + 2, 7, 2); });
    refused("an attribute without a usable name", [&](Bytes& b) { b.put(text(b) + 8, 0, 1); });
    refused("neither text of a fixed length", [&](Bytes& b) { b.put(text(b) + 4, 12, 2); });
    refused("an attribute's dataspace of size 16", [&](Bytes& b) { b.put(text(b) + 6, 16, 2); });
    refused("neither text of a fixed length", [&](Bytes& b) { b.put(text(b) + 17, 1, 1); });
    refused("4294967295 bytes should follow", [&](Bytes& b) { b.put(text(b) + 20, 0xffffffff, 4); });
    refused("an attribute's dataspace", [&](Bytes& b) { b.put(text(b) + 25, 1, 1); });
    refused("attribute xxh3_64 does not end", [&](Bytes& b) { b.put(text(b) + 48, 'x', 1); });
    refused("22 bytes too many in a message", [&](Bytes& b) {
        b.put(text(b) + 20, 2, 4);
        b.put(text(b) + 32, 'x', 8);
    });
    refused("attribute slice twice", [&](Bytes& b) {
        b.put(b.at(std::string("format\0", 7)), 0x6563696c73, 8);
        b.put(b.at(std::string("slice\0", 6)) - 6, 6, 2);
    });
}

// Whoever follows addresses must come to an end.
TEST_F(Hdf5Damage, WhatStandsInTwoPlaces) {
    const auto nest = [](Bytes& b) {  // a group in itself
        b.put(b.entry_at(kGroupNode, kX) + 8, b.header(kRootNode, kA));
        b.put(b.entry_at(kGroupNode, kX) + 16, 1, 4);
        for (const std::size_t i : {24, 32})
            b.put(b.entry_at(kGroupNode, kX) + i, b.get(b.entry_at(kRootNode, kA) + i));
    };
    refused("groups in groups, more than 8 deep", nest);
    refused("is in use already", [&](Bytes& b) {  // of few bytes, most are read already
        nest(b);
        b.keep(4096);
    });
    refused("are of two things",
            [](Bytes& b) { b.put(b.entry_at(kGroupNode, kX) + 8, b.header(kGroupNode, kY)); });
    refused("are of two things", [](Bytes& b) {  // the same values twice
        b.put(b.message(b.header(kGroupNode, kX), 8) + 2, b.get(b.message(b.header(kGroupNode, kY), 8) + 2));
    });
    refused("are of two things",
            [](Bytes& b) { b.put(b.message(b.header(kGroupNode, kX), 8) + 2, b.at("SNOD") + 320); });
    refused("an object header in more than 64 pieces", [](Bytes& b) {  // messages that go on with themselves
        const std::size_t x = b.header(kGroupNode, kX);
        b.put(x + 16, 0x10, 2);
        b.put(x + 18, 16, 2);
        b.put(x + 24, x + 16);
        b.put(x + 32, 24);
        b.put(x + 8, 24, 4);
        b.put(x + 2, 0xffff, 2);
    });
}

}  // namespace
}  // namespace sluice
