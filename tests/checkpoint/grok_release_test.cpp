// xAI's release as a source: what it gives, and what is refused before any work.
#include "checkpoint/convert.hpp"
#include "checkpoint/models.hpp"
#include "checkpoint/pickle_image.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "checkpoint/source.hpp"
#include "core/json.hpp"
#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

fs::path models() { return fs::path(SLUICE_TEST_DATA) / "models"; }
fs::path broken() { return fs::path(SLUICE_TEST_DATA) / "grok-broken"; }

class GrokSource : public testing::Test {
protected:
    // A copy of the small release whose files may be replaced.
    fs::path copy_of(const std::string& model) {
        copy_folder(models() / model, folder_ / model);
        return folder_ / model;
    }
    ConvertResult convert(const fs::path& from, const std::string& to, StoredType type = StoredType::Keep) {
        ConvertOptions options;
        options.type = type;
        return convert_checkpoint(from, folder_ / to, options,
                                  [](std::uint64_t, std::uint64_t) { return true; });
    }
    void expect_refused(const fs::path& from, std::initializer_list<std::string_view> parts) {
        expect_error([&] { convert(from, "refused"); }, ExitCode::Checkpoint, parts);
        EXPECT_FALSE(fs::exists(folder_ / "refused"));
    }

    ScratchFolder folder_;
};

// Effective values, scales multiplied in.
std::vector<float> effective(const CheckpointSource& source, const TensorSpec& spec) {
    const SourceTensor tensor = source.tensor(spec);
    if (tensor.scales.empty()) return tensor.as_floats();
    std::vector<std::byte> codes(static_cast<std::size_t>(spec.full.elements()));
    tensor.read({0, tensor.rows()}, codes.data());
    std::vector<float> values;
    for (std::int64_t i = 0; i < spec.full.elements(); ++i) {
        const std::int64_t row = i / tensor.cols() / tensor.form.block.rows;
        const std::int64_t col = i % tensor.cols() / tensor.form.block.cols;
        const auto scale = static_cast<std::size_t>(row * tensor.scale_cols() + col);
        values.push_back(static_cast<float>(static_cast<std::int8_t>(codes[static_cast<std::size_t>(i)])) *
                         tensor.scales.at(scale));
    }
    return values;
}

// The port holds what the original code computes with: bfloat16(int8 * scale), and the rest as it is. So each
// of the release's values must be the port's before rounding: its order, orientation, scales and experts.
TEST_F(GrokSource, HoldsTheValuesOfTheSamePortedModel) {
    const auto ported = open_source(models() / "grok-tiny-hf");
    for (const char* name : {"grok-tiny", "grok-tiny-2host"}) {
        SCOPED_TRACE(name);
        const auto release = open_source(models() / name);
        for (const TensorSpec& spec : tensor_catalog(release->config())) {
            const std::vector<float> expected = ported->tensor(spec).as_floats();
            std::vector<float> found = effective(*release, spec);
            for (float& value : found) value = to_float(to_bf16(value));
            ASSERT_EQ(found, expected) << spec.name;
        }
    }
}

TEST_F(GrokSource, IsFoundByItsFilesFolderToo) {
    const auto release = open_source(models() / "grok-tiny" / "ckpt-0");
    EXPECT_TRUE(release->text_files().contains("tokenizer.model"));
    EXPECT_EQ(release->config().layers.size(), 4U);
}

TEST_F(GrokSource, ItsFolderMayBeSpelledWithASlashOrADot) {
    for (const char* folder : {"ckpt-0/", "ckpt-0/.", "", "ckpt-0/.."}) {
        SCOPED_TRACE(folder);
        const auto release = open_source(models() / "grok-tiny" / folder);
        EXPECT_TRUE(release->text_files().contains("tokenizer.model"));
        EXPECT_EQ(release->config().layers.size(), 4U);
    }
}

TEST_F(GrokSource, TheTokenizerMayStandBesideTheFolderOfCkpt0) {
    const fs::path checkpoints = folder_ / "grok-1" / "checkpoints";
    fs::create_directories(checkpoints);
    copy_folder(models() / "grok-tiny" / "ckpt-0", checkpoints / "ckpt-0");
    fs::copy_file(models() / "grok-tiny" / "config.json", checkpoints / "config.json");
    EXPECT_TRUE(open_source(checkpoints)->text_files().empty());
    folder_.put("grok-1/tokenizer.model", "above");
    folder_.put("grok-1/tokenizer_config.json", "not of this model, perhaps");
    const std::map<std::string, std::string> above{{"tokenizer.model", "above"}};
    EXPECT_EQ(open_source(checkpoints)->text_files(), above);
    EXPECT_EQ(open_source(checkpoints / "ckpt-0")->text_files(), above);
    folder_.put("grok-1/checkpoints/tokenizer.model", "beside");
    EXPECT_EQ(open_source(checkpoints)->text_files().at("tokenizer.model"), "beside");
}

TEST_F(GrokSource, Int8StaysInt8WithItsScalesAndBecomesBf16WhenCast) {
    convert(models() / "grok-tiny-2host", "kept");
    const auto kept = open_sluice_checkpoint(folder_ / "kept");
    EXPECT_EQ(kept->config().quantization.dtype, DType::I8);
    EXPECT_EQ(kept->config().quantization.groups, 8);
    const auto release = open_source(models() / "grok-tiny");
    for (const TensorSpec& spec : tensor_catalog(kept->config())) {
        const StoredPart part = kept->find(spec, spec.cut.along == Along::Expert ? spec.expert / 4 : 0);
        ASSERT_EQ(part.dtype, spec.quantizable ? DType::I8 : DType::F32) << spec.name;
        ASSERT_EQ(part.block_cols, block_of(spec, kept->config().quantization).cols) << spec.name;
        ASSERT_EQ(release->form(spec).dtype, part.dtype) << spec.name;
    }
    convert(models() / "grok-tiny-2host", "cast", StoredType::Bf16);
    const auto cast = open_sluice_checkpoint(folder_ / "cast");
    EXPECT_EQ(cast->config().quantization.dtype, DType::BF16);
    const TensorSpec key = tensor_catalog(cast->config())[3];
    ASSERT_EQ(key.name, "/layers/0/attention/k");
    const std::vector<float> expected = open_source(models() / "grok-tiny-hf")->tensor(key).as_floats();
    const TensorSlice second = cast->read(key, 1);
    for (std::size_t i = 0; i < second.values.size() / 2; ++i) {
        bf16 bits = 0;
        std::memcpy(&bits, second.values.data() + 2 * i, 2);
        ASSERT_EQ(to_float(bits), expected[expected.size() / 2 + i]);
    }
}

// The other port's names, with the tensors of the first.
TEST_F(GrokSource, BothPortsNamesAreKnown) {
    const fs::path model = copy_of("grok-tiny-hf");
    const Json names = Json::parse(content_of(model / "names_keyfan.json"));
    for (const char* file : {kFirstFile, kSecondFile}) {
        edit_tensors(model / file, [&](RawTensors& tensors) {
            RawTensors renamed;
            for (auto& [name, tensor] : tensors) renamed[names.at(name)] = std::move(tensor);
            tensors = std::move(renamed);
        });
    }
    edit_json(model / kIndexFile, [&](nlohmann::ordered_json& index) {
        auto map = nlohmann::ordered_json::object();
        for (const auto& [name, file] : index["weight_map"].items())
            map[names.at(name).get<std::string>()] = file;
        index["weight_map"] = map;
    });
    const auto renamed = open_source(model);
    const auto original = open_source(models() / "grok-tiny-hf");
    for (const TensorSpec& spec : tensor_catalog(original->config()))
        ASSERT_EQ(renamed->tensor(spec).as_floats(), original->tensor(spec).as_floats()) << spec.name;
}

// Each damaged file in the place it was made for. Those that may be accepted are either refused by name or
// read right, which the values tell.
TEST_F(GrokSource, DamagedAndHostileFilesAreRefusedByName) {
    const Json expected = Json::parse(content_of(broken() / "expected.json"));
    ASSERT_EQ(expected.size(), 26U);
    const fs::path model = copy_of("grok-tiny");
    for (const auto& [name, what] : expected.items()) {
        SCOPED_TRACE(name);
        const std::string replaced = what.at("replaces");
        const fs::path place = model / "ckpt-0" / replaced;
        fs::copy_file(broken() / name, place, fs::copy_options::overwrite_existing);
        if (what.at("expect") == "reject") {
            expect_refused(model, {place.string()});
        } else {
            try {
                convert(model, name);
                EXPECT_EQ(open_sluice_checkpoint(folder_ / name)->slices(), 2);
            } catch (const Error& error) {
                EXPECT_EQ(error.code(), ExitCode::Checkpoint);
                EXPECT_NE(std::string_view(error.what()).find(place.string()), std::string_view::npos);
            }
        }
        fs::copy_file(models() / "grok-tiny" / "ckpt-0" / replaced, place,
                      fs::copy_options::overwrite_existing);
    }
    EXPECT_NO_THROW(convert(model, "whole"));
    EXPECT_FALSE(fs::exists("/tmp/pwned"));
}

TEST_F(GrokSource, AnotherModelsConfigurationIsRefused) {
    const fs::path model = copy_of("grok-tiny");
    edit_json(model / "config.json", [](auto& config) { config["model"]["num_layers"] = 5; });
    expect_refused(model, {"tensors 0 to 49 are there", "config.json has 62"});
    edit_json(model / "config.json", [](auto& config) {
        config["model"]["num_layers"] = 4;
        config["model"]["num_kv_heads"] = 3;
    });
    expect_refused(model, {"tensor00005_000", "[192, 64]", "[192, 96]"});
    fs::remove(model / "config.json");  // then it must be Grok-1 itself
    expect_refused(model, {"tensors 0 to 49", "built-in configuration of Grok-1 has 770", "config.json"});
}

TEST_F(GrokSource, HostsMustAgree) {
    const fs::path model = copy_of("grok-tiny-2host");
    const fs::path second = model / "ckpt-0" / "tensor00005_001";
    fs::copy_file(models() / "grok-tiny" / "ckpt-0" / "tensor00005_000", second,
                  fs::copy_options::overwrite_existing);
    expect_refused(model, {"tensor00005_001", "differs in shape or type from", "tensor00005_000"});
    fs::remove(second);
    expect_refused(model, {"tensor00005_001"});
    // Copies of what every host holds must be copies.
    fs::copy_file(models() / "grok-tiny-2host" / "ckpt-0" / "tensor00005_001", second);
    fs::copy_file(model / "ckpt-0" / "tensor00010_001", model / "ckpt-0" / "tensor00001_001",
                  fs::copy_options::overwrite_existing);
    expect_refused(model, {"tensor00001_001", "rms_norm/scale", "values differ", "should be the same"});
}

// An int8 leaf of zeros, its scales of one value.
std::string int8_leaf(const std::vector<std::int32_t>& dims, const std::vector<std::int32_t>& scale_dims,
                      float scale = 0) {
    const auto count = [](const std::vector<std::int32_t>& of) {
        std::size_t product = 1;
        for (const std::int32_t dim : of) product *= static_cast<std::size_t>(dim);
        return product;
    };
    const std::vector<float> scales(count(scale_dims), scale);
    const std::string_view bytes(reinterpret_cast<const char*>(scales.data()), 4 * scales.size());
    return pickled::whole(pickled::weight(pickled::array(pickled::i8(), dims, std::string(count(dims), '\0')),
                                          pickled::array(pickled::f32(), scale_dims, bytes))
                              .stream());
}

TEST_F(GrokSource, CopiesMustHaveTheSameScales) {
    const fs::path model = copy_of("grok-tiny-2host");
    folder_.put("grok-tiny-2host/ckpt-0/tensor00005_000", int8_leaf({192, 64}, {1, 64}, 1));
    folder_.put("grok-tiny-2host/ckpt-0/tensor00005_001", int8_leaf({192, 64}, {1, 64}, 1));
    EXPECT_NO_THROW(convert(model, "copies"));
    folder_.put("grok-tiny-2host/ckpt-0/tensor00005_001", int8_leaf({192, 64}, {1, 64}, 2));
    expect_refused(model, {"tensor00005_001", "key/w", "scales differ", "should be the same"});
}

TEST_F(GrokSource, HostsMayNotDivideTheExperts) {
    const fs::path model = copy_of("grok-tiny-2host");
    for (const char* host : {"0", "1"})
        folder_.put("grok-tiny-2host/ckpt-0/tensor00002_00" + std::string(host),
                    int8_leaf({4, 192, 208}, {4, 1, 208}));
    expect_refused(model, {"tensor00002_000", "moe/linear/w", "[4, 192, 208]", "2 host files", "experts"});
}

TEST_F(GrokSource, AllMatricesMustBeQuantisedAlike) {
    const fs::path model = copy_of("grok-tiny");
    const std::string key = content_of(model / "ckpt-0" / "tensor00005_000");
    const std::string plain(std::size_t{192} * 64 * 4, '\0');
    folder_.put("grok-tiny/ckpt-0/tensor00005_000",
                pickled::whole(pickled::array(pickled::f32(), {192, 64}, plain).stream()));
    expect_refused(model, {"tensor00005_000", "key/w", "no scales", "blocks of 1 x 192"});
    folder_.put("grok-tiny/ckpt-0/tensor00005_000", int8_leaf({192, 64}, {2, 64}));
    expect_refused(model, {"tensor00005_000", "key/w", "blocks of 1 x 96", "blocks of 1 x 192"});
    folder_.put("grok-tiny/ckpt-0/tensor00005_000", key);
    folder_.put("grok-tiny/ckpt-0/tensor00006_000", int8_leaf({192, 192}, {4, 192}));
    expect_refused(model, {"tensor00006_000", "linear/w", "blocks of 1 x 48", "blocks of 1 x 24"});
}

}  // namespace
}  // namespace sluice::test
