// What a damaged or mixed Sluice checkpoint is answered with.
#include "checkpoint/sluice_checkpoint.hpp"
#include "checkpoint/convert.hpp"
#include "checkpoint/hdf5_handle.hpp"
#include "checkpoint/layout.hpp"
#include "checkpoint/metadata_block.hpp"
#include "checkpoint/models.hpp"
#include "checkpoint/source.hpp"
#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace sluice {
namespace {

constexpr const char* kFirst = "slice-000-of-002.h5";
constexpr const char* kLast = "slice-001-of-002.h5";

class Damaged : public testing::Test {
protected:
    void SetUp() override { make(test::tiny_v3(), "out"); }
    void make(const std::filesystem::path& from, const char* to) {
        convert_checkpoint(from, folder_ / to, {2, StoredType::Keep, "test"},
                           [](std::uint64_t, std::uint64_t) { return true; });
    }
    std::filesystem::path file(const char* name) const { return out_ / name; }

    static void read_all(const std::filesystem::path& folder) {
        const auto checkpoint = open_sluice_checkpoint(folder);
        for (const TensorSpec& spec : tensor_catalog(checkpoint->config()))
            for (int slice = 0; slice < 2; ++slice) checkpoint->read(spec, slice);
    }
    void refused(std::initializer_list<std::string_view> parts) {
        expect_error([&] { read_all(out_); }, ExitCode::Checkpoint, parts);
    }
    TensorSpec spec(const std::string& name) const {
        for (const TensorSpec& tensor : tensor_catalog(open_sluice_checkpoint(out_)->config()))
            if (tensor.name == name) return tensor;
        throw std::runtime_error("no tensor " + name);
    }
    // Flips one bit in the middle of `bytes`, which must stand in the file.
    void alter(const char* name, const std::string& bytes) {
        std::string content = content_of(file(name));
        const std::size_t at = content.find(bytes);
        ASSERT_NE(at, std::string::npos);
        content[at + bytes.size() / 2] = static_cast<char>(content[at + bytes.size() / 2] ^ 1);
        std::ofstream(file(name), std::ios::binary) << content;
    }
    // What a writer with an error would have written: the metadata's checksum is right. What is added stands
    // behind the values.
    void edit(const char* name, const std::function<void(hid_t)>& change) {
        {
            const auto lock = h5::hdf5_lock();
            const h5::Handle opened = h5::open_to_fill(file(name));
            change(opened.get());
        }
        write_metadata_block(file(name), std::filesystem::file_size(file(name)));
    }
    // The same, where the library would write another thing: `from` becomes `to` where it stands first.
    void patch(const char* name, std::string_view from, const std::string& to) {
        const std::uint64_t end = check_metadata(InputFile(file(name))).size();
        const std::size_t at = content_of(file(name)).find(from);
        ASSERT_LT(at, end - to.size());
        overwrite(name, at, to);
        write_metadata_block(file(name), end);
    }
    static std::string bytes_of(std::initializer_list<std::uint64_t> numbers) {
        return {reinterpret_cast<const char*>(numbers.begin()), numbers.size() * sizeof(std::uint64_t)};
    }
    // Writes `bytes` at `at`, as they are.
    void overwrite(const char* name, std::size_t at, std::string_view bytes) {
        std::fstream(file(name), std::ios::binary | std::ios::in | std::ios::out)
            .seekp(static_cast<std::streamoff>(at))
            .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    }

    ScratchFolder folder_;
    std::filesystem::path out_ = folder_ / "out";
};

TEST_F(Damaged, WholeOneIsRead) { EXPECT_NO_THROW(read_all(out_)); }

TEST_F(Damaged, AlteredValuesAndScales) {
    const TensorSpec tensor = spec("/layers/0/attention/o");
    const TensorSlice part = open_sluice_checkpoint(out_)->read(tensor, 1);
    const std::string original = content_of(file(kLast));
    alter(kLast, {reinterpret_cast<const char*>(part.values.data()), part.values.size()});
    refused({kLast, "/layers/0/attention/o is altered", "checksum"});
    std::ofstream(file(kLast), std::ios::binary) << original;
    EXPECT_NO_THROW(read_all(out_));
    alter(kLast, {reinterpret_cast<const char*>(part.scales.data()), part.scales.size() * sizeof(float)});
    refused({kLast, "/layers/0/attention/o.scale is altered"});
}

TEST_F(Damaged, AlteredTokenizer) {
    alter("common.h5", content_of(test::tiny_v3() / "tokenizer.json"));
    refused({"common.h5", "/files/tokenizer.json is altered"});
}

TEST_F(Damaged, TruncatedFiles) {
    std::filesystem::resize_file(file(kLast), std::filesystem::file_size(file(kLast)) - 4096);
    refused({kLast, "cut short"});
    std::filesystem::resize_file(file(kLast), 100);
    refused({kLast, "cut short"});
    std::filesystem::resize_file(file(kLast), 0);
    refused({kLast, "not a file of a Sluice checkpoint"});
}

TEST_F(Damaged, FilesOfSomethingElse) {
    folder_.put("out/common.h5", "Dear Sir or Madam");
    refused({"common.h5", "not a file of a Sluice checkpoint"});
    folder_.put("out/common.h5", std::string(5000, 'x'));
    refused({"common.h5", "not a file of a Sluice checkpoint"});
    std::filesystem::remove(file("common.h5"));
    {
        const auto lock = h5::hdf5_lock();
        h5::create_file(file("common.h5"));
    }
    refused({"common.h5", "never finished"});
    write_metadata_block(file("common.h5"), std::filesystem::file_size(file("common.h5")));
    refused({"common.h5", "not a file of a Sluice checkpoint"});
    std::filesystem::remove(file("common.h5"));
    refused({"common.h5 is missing", "sluice-shard"});
}

TEST_F(Damaged, MissingAndRenamedSlices) {
    std::filesystem::rename(file(kLast), file("aside"));
    refused({kLast, "is missing", "2 slices"});
    std::filesystem::copy(file(kFirst), file(kLast));
    refused({kLast, "was written as slice-000-of-002.h5"});
}

TEST_F(Damaged, SlicesOfTwoCheckpoints) {
    test::copy_folder(test::tiny_v3(), folder_ / "model");
    test::edit_tensors(folder_ / "model" / test::kFirstFile, [](test::RawTensors& tensors) {
        tensors.at("model.embed_tokens.weight").bytes[7] ^= 1;
    });
    make(folder_ / "model", "other");
    std::filesystem::copy(folder_ / "other" / kLast, file(kLast),
                          std::filesystem::copy_options::overwrite_existing);
    refused({kLast, "mixes two checkpoints", open_sluice_checkpoint(folder_ / "other")->id()});
}

TEST_F(Damaged, OtherVersionsAndUnfinishedFiles) {
    const auto set_version = [&](int version) {
        edit(kFirst, [&](hid_t opened) { h5::set_attribute(opened, "version", version); });
    };
    set_version(3);
    refused({kFirst, "format version 3", "reads version 2"});
    set_version(2);
    EXPECT_NO_THROW(read_all(out_));
    edit(kFirst, [](hid_t opened) { h5::set_attribute(opened, kIdAttribute, std::string(32, '0')); });
    refused({kFirst, "never finished"});
    overwrite(kFirst, 6, "\x03");
    refused({kFirst, "format version 3", "reads version 2", "shard again"});
    overwrite(kFirst, 0, "\x89HDF\r\n\x1a\n");  // which version 1 began with
    refused({kFirst, "format version 1", "reads version 2", "shard again"});
    overwrite(kFirst, 0, std::string(kMetadataBlockBytes, '\0'));
    refused({kFirst, "never finished"});
}

// HDF5 itself would read most of these without a word.
TEST_F(Damaged, AlteredMetadata) {
    const std::string original = content_of(file(kFirst));
    const std::uint64_t end = check_metadata(InputFile(file(kFirst))).size();
    ASSERT_GT(end, 20'000U);
    for (std::size_t at = kMetadataBlockBytes; at < end; at += 997) {
        overwrite(kFirst, at, std::string(1, static_cast<char>(original[at] ^ 4)));
        expect_error([&] { check_metadata(InputFile(file(kFirst))); }, ExitCode::Checkpoint,
                     {kFirst, "its metadata is altered", "restore the file or shard again"});
        overwrite(kFirst, at, original.substr(at, 1));
    }
    EXPECT_NO_THROW(read_all(out_));
    overwrite(kFirst, end - 1, std::string(1, static_cast<char>(original[end - 1] ^ 4)));
    refused({kFirst, "its metadata is altered"});
}

TEST_F(Damaged, AlteredMetadataBlock) {
    const std::string original = content_of(file(kFirst)).substr(0, kMetadataBlockBytes);
    for (const std::size_t at : {8, 16, 23}) {  // the length's lowest byte, and its checksum's ends
        overwrite(kFirst, at, std::string(1, static_cast<char>(original[at] ^ 1)));
        refused({kFirst, "its metadata is altered"});
        overwrite(kFirst, 0, original);
    }
    for (const char* length : {"\xff\xff\xff\x3f", "\xff\xff\xff\xff"}) {  // beyond the file, beyond 1 GiB
        overwrite(kFirst, 0, original);
        overwrite(kFirst, 8, length);
        refused({kFirst, "bytes of metadata in a file of"});
    }
    overwrite(kFirst, 8, std::string(8, '\xff'));
    refused({kFirst, "bytes of metadata in a file of"});
}

TEST_F(Damaged, MissingTensor) {
    edit(kFirst, [](hid_t opened) { H5Ldelete(opened, "/layers/1/attention/q_b", H5P_DEFAULT); });
    refused({kFirst, "/layers/1/attention/q_b is missing"});
}

TEST_F(Damaged, MisshapenAndMistypedTensors) {
    constexpr const char* kName = "/layers/0/attention/q_b";
    const StoredPart part = open_sluice_checkpoint(out_)->find(spec(kName), 0);
    ASSERT_EQ(part.dtype, DType::F8E4M3);
    const auto rows = static_cast<std::uint64_t>(part.shape[0]),
               cols = static_cast<std::uint64_t>(part.shape[1]);
    ASSERT_NE(rows, cols);
    const std::string dims = bytes_of({rows, cols, rows, cols}), turned = bytes_of({cols, rows, cols, rows});
    patch(kFirst, dims, turned);
    refused(
        {kFirst, kName, "shape " + Shape{part.shape[1], part.shape[0]}.text(), "needs " + part.shape.text()});
    patch(kFirst, turned, bytes_of({1ULL << 40, 1ULL << 30, 1ULL << 40, 1ULL << 30}));
    refused({kFirst, "more than 281474976710656 elements"});
    patch(kFirst, bytes_of({1ULL << 40, 1ULL << 30, 1ULL << 40, 1ULL << 30}), dims);
    const std::string place = "\x03\x01" + bytes_of({part.values.offset - kMetadataBlockBytes});
    patch(kFirst, place, "\x03\x01" + bytes_of({~0ULL}));
    refused({kFirst, kName, "its values were never written"});
    patch(kFirst, "\x03\x01" + bytes_of({~0ULL}), place);
    EXPECT_NO_THROW(read_all(out_));
    while (content_of(file(kFirst)).find(std::string("dtype\0", 6)) != std::string::npos)
        patch(kFirst, std::string("dtype\0", 6), "dtypo");
    refused({kFirst, "type uint8; expected bfloat16"});
}

TEST_F(Damaged, MissingChecksum) {
    edit(kLast, [](hid_t opened) {
        H5Adelete(h5::open_dataset(opened, "/layers/0/attention/o").get(), kChecksumAttribute);
    });
    refused({kLast, "/layers/0/attention/o has no checksum"});
    expect_error([&] { open_source(out_); }, ExitCode::Checkpoint, {kLast, "has no checksum"});
}

// Each slice is as it was written, with all checksums, but they are not of one tensor.
TEST_F(Damaged, SlicesWithOtherScalesOfOneBlock) {
    const TensorSpec tensor = spec("/layers/0/attention/o");
    const auto checkpoint = open_sluice_checkpoint(out_);
    const std::uint64_t at = checkpoint->find(tensor, 1).scales.offset;
    const TensorSlice part = checkpoint->read(tensor, 1);
    std::vector<float> scales(part.scales.begin(), part.scales.end());
    scales[1] *= 2;
    const std::string_view bytes(reinterpret_cast<const char*>(scales.data()), scales.size() * sizeof(float));
    edit(kLast, [&](hid_t opened) {
        h5::set_attribute(h5::open_dataset(opened, "/layers/0/attention/o.scale").get(), kChecksumAttribute,
                          checksum_text(checksum_of(bytes.data(), bytes.size())));
    });
    overwrite(kLast, at, bytes);
    write_metadata_block(file(kLast), std::filesystem::file_size(file(kLast)));
    EXPECT_NO_THROW(open_sluice_checkpoint(out_)->read(tensor, 1));
    expect_error([&] { open_source(out_)->tensor(tensor); }, ExitCode::Checkpoint,
                 {"tensor /layers/0/attention/o", "block [1, 0]", "in one slice"});
}

TEST_F(Damaged, ScalesMustFitTheSlice) {
    edit(kLast, [](hid_t opened) {
        h5::set_attribute(h5::open_dataset(opened, "/layers/0/attention/o.scale").get(), "col_offset", 0);
    });
    refused({kLast, "/layers/0/attention/o.scale", "(0, 0)", "(0, 64)"});
}

}  // namespace
}  // namespace sluice
