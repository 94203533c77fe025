// What a damaged or mixed Sluice checkpoint is answered with.
#include "checkpoint/sluice_checkpoint.hpp"
#include "checkpoint/convert.hpp"
#include "checkpoint/hdf5_handle.hpp"
#include "checkpoint/models.hpp"
#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr const char* kFirst = "slice-000-of-002.h5";
constexpr const char* kLast = "slice-001-of-002.h5";

class Damaged : public testing::Test {
protected:
    void SetUp() override { make(test::tiny_v3(), "out"); }
    void make(const std::filesystem::path& from, const char* to) {
        convert_checkpoint(from, folder_ / to, {2, StoredType::Keep, "test"},
                           [](std::uint64_t, std::uint64_t) {});
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
    // Without a shape the tensor is only removed.
    enum class Content : std::uint8_t { None, Zeros };
    void replace(const std::string& name, DType type, const Shape& shape, Content content) {
        const auto lock = h5::hdf5_lock();
        const h5::Handle opened = h5::open_to_fill(file(kFirst));
        H5Ldelete(opened.get(), name.c_str(), H5P_DEFAULT);
        if (shape.rank() == 0) return;
        const h5::Handle dataset = h5::create_dataset(opened.get(), name, type, shape);
        if (content == Content::None) return;
        const std::vector<char> zeros(static_cast<std::size_t>(shape.elements()) * size_of(type));
        const h5::Handle stored(H5Dget_type(dataset.get()), H5Tclose);
        ASSERT_GE(H5Dwrite(dataset.get(), stored.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros.data()), 0);
    }
    void set_root(const char* name, const char* attribute, int value) {
        const auto lock = h5::hdf5_lock();
        const h5::Handle opened = h5::open_to_fill(file(name));
        h5::set_attribute(opened.get(), attribute, value);
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
    refused({kLast, "truncated"});
    std::filesystem::resize_file(file(kLast), 100);
    refused({kLast});
    std::filesystem::resize_file(file(kLast), 0);
    refused({kLast, "signature"});
}

TEST_F(Damaged, FilesOfSomethingElse) {
    folder_.put("out/common.h5", "Dear Sir or Madam");
    refused({"common.h5", "signature"});
    std::filesystem::remove(file("common.h5"));
    {
        const auto lock = h5::hdf5_lock();
        h5::create_file(file("common.h5"));
    }
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
    set_root(kFirst, "version", 2);
    refused({kFirst, "format version 2", "reads version 1"});
    set_root(kFirst, "version", 1);
    EXPECT_NO_THROW(read_all(out_));
    {
        const auto lock = h5::hdf5_lock();
        h5::set_attribute(h5::open_to_fill(file(kFirst)).get(), "checkpoint_id", std::string(32, '0'));
    }
    refused({kFirst, "never finished"});
}

TEST_F(Damaged, MissingMisshapenAndMistypedTensors) {
    constexpr const char* kName = "/layers/1/attention/q_b";
    const Shape shape = open_sluice_checkpoint(out_)->find(spec(kName), 0).shape;
    const Shape turned{shape[1], shape[0]};
    ASSERT_NE(shape, turned);
    replace(kName, DType::BF16, {}, Content::None);
    refused({kFirst, std::string(kName) + " is missing"});
    replace(kName, DType::F8E4M3, shape, Content::None);
    refused({kFirst, kName, "not stored in one piece"});
    replace(kName, DType::F8E4M3, turned, Content::Zeros);
    refused({kFirst, kName, "shape " + turned.text(), "needs " + shape.text()});
    replace(kName, DType::I32, shape, Content::Zeros);
    refused({kFirst, kName, "type int32; expected bfloat16"});
}

TEST_F(Damaged, ShapesBeyondAnyModel) {
    constexpr const char* kName = "/layers/1/attention/q_b";
    for (const Shape& shape :
         {Shape{1LL << 40, 1LL << 30}, Shape{1LL << 62}, Shape{1LL << 40, 1LL << 40, 0}}) {
        replace(kName, DType::F8E4M3, shape, Content::None);
        refused({kFirst, kName, "type or shape is none that Sluice writes"});
    }
}

TEST_F(Damaged, ScalesMustFitTheSlice) {
    const auto lock = h5::hdf5_lock();
    {
        const h5::Handle opened = h5::open_to_fill(file(kLast));
        const h5::Handle scales = h5::open_dataset(opened.get(), "/layers/0/attention/o.scale");
        h5::set_attribute(scales.get(), "col_offset", 0);
    }
    refused({kLast, "/layers/0/attention/o.scale", "(0, 0)", "(0, 64)"});
}

}  // namespace
}  // namespace sluice
