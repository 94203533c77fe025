// From a foreign checkpoint to a Sluice one and back, bit for bit.
#include "checkpoint/convert.hpp"
#include "checkpoint/hdf5_handle.hpp"
#include "checkpoint/layout.hpp"
#include "checkpoint/models.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <tuple>

namespace sluice {
namespace {

using test::RawTensor;
using test::RawTensors;

const ConvertProgress kQuiet = [](std::uint64_t, std::uint64_t) { return true; };

ConvertResult shard(const std::filesystem::path& from, const std::filesystem::path& to, int slices,
                    StoredType type = StoredType::Keep) {
    return convert_checkpoint(from, to, {slices, type, "test 1"}, kQuiet);
}

// With the layers for multi-token prediction.
std::vector<TensorSpec> all_tensors(const SluiceCheckpoint& checkpoint) {
    std::vector<TensorSpec> tensors = tensor_catalog(checkpoint.config());
    if (checkpoint.holds_prediction())
        for (TensorSpec& spec : prediction_catalog(checkpoint.config())) tensors.push_back(std::move(spec));
    return tensors;
}

float scale_at(const RawTensor& scales, std::int64_t row, std::int64_t col) {
    float scale = 0;
    const auto index = static_cast<std::size_t>(row / 128 * scales.shape[1] + col / 128);
    std::memcpy(&scale, scales.bytes.data() + index * sizeof scale, sizeof scale);
    return scale;
}

// Walks a tensor's parts in slice order and hands every element's place in the part and in the whole to
// `check`.
void walk(SluiceCheckpoint& checkpoint, const TensorSpec& spec,
          const std::function<void(const TensorSlice&, std::int64_t row, std::int64_t col,
                                   std::int64_t whole_row, std::int64_t whole_col)>& check) {
    const auto cols_of = [](const Shape& shape) { return shape.rank() == 2 ? shape[1] : 1; };
    std::int64_t row = 0;
    std::int64_t col = 0;
    for (int slice = 0; slice < (spec.cut.along == Along::Common ? 1 : checkpoint.slices()); ++slice) {
        const TensorSlice part = checkpoint.read(spec, slice);
        if (part.values.empty()) continue;
        for (std::int64_t r = 0; r < part.shape[0]; ++r)
            for (std::int64_t c = 0; c < cols_of(part.shape); ++c) check(part, r, c, row + r, col + c);
        if (spec.cut.axis == 0) row += part.shape[0];
        if (spec.cut.axis == 1) col += part.shape[1];
    }
    EXPECT_EQ(spec.cut.axis == 0 ? row : col, spec.full[spec.cut.axis]) << spec.name;
}

struct Case {
    std::string model;  // "v3", "v2" or "odd"
    int slices;
};

void PrintTo(const Case& model, std::ostream* out) {
    *out << model.model << " in " << model.slices << " slices";
}

class RoundTrip : public testing::TestWithParam<Case> {
protected:
    std::filesystem::path model() {
        if (GetParam().model == "v3") return test::tiny_v3();
        if (GetParam().model == "v2") return test::tiny_v2();
        test::write_random_model(folder_ / "odd", test::odd_sizes(), 20);
        return folder_ / "odd";
    }

    ScratchFolder folder_;
};

TEST_P(RoundTrip, KeepsEveryBit) {
    const auto from = model();
    const ConvertResult result = shard(from, folder_ / "out", GetParam().slices);
    const RawTensors raw = test::read_model(from);
    const auto checkpoint = open_sluice_checkpoint(folder_ / "out");
    EXPECT_EQ(checkpoint->slices(), GetParam().slices);
    EXPECT_EQ(checkpoint->id(), result.id);
    EXPECT_EQ(checkpoint->config_json(), content_of(from / "config.json"));
    std::uint64_t bytes = 0;
    for (const TensorSpec& spec : all_tensors(*checkpoint)) {
        const RawTensor& expected = raw.at(test::deepseek_name(spec));
        const std::int64_t width = spec.full.rank() == 2 ? spec.full[1] : 1;
        std::int64_t wrong = 0;
        walk(*checkpoint, spec,
             [&](const TensorSlice& part, auto row, auto col, auto whole_row, auto whole_col) {
                 const std::size_t item = size_of(part.dtype);
                 const std::int64_t part_width = part.shape.rank() == 2 ? part.shape[1] : 1;
                 wrong +=
                     std::memcmp(part.values.data() + static_cast<std::size_t>(row * part_width + col) * item,
                                 expected.bytes.data() +
                                     static_cast<std::size_t>(whole_row * width + whole_col) * item,
                                 item) != 0;
                 if (part.scales.empty()) return;
                 const std::int64_t block =
                     (row + part.row_offset) / 128 * part.scale_cols + (col + part.col_offset) / 128;
                 wrong += part.scales[static_cast<std::size_t>(block)] !=
                          scale_at(raw.at(test::deepseek_name(spec) + "_scale_inv"), whole_row, whole_col);
             });
        EXPECT_EQ(wrong, 0) << spec.name;
        bytes += expected.bytes.size();
    }
    EXPECT_GE(checkpoint->bytes_read(), bytes);  // and the scales
    EXPECT_EQ(checkpoint->bytes_read(), result.bytes);
}

// Rounds to 8 significant bits, ties to even, by way of the mantissa as a number.
float round_to_bf16(float value) {
    int exponent = 0;
    const double mantissa = std::frexp(static_cast<double>(value), &exponent);
    return static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8));
}

// Sign, 4 bits of exponent with bias 7, 3 of mantissa.
float decode_e4m3(unsigned char code) {
    const int exponent = (code >> 3) & 15;
    const double mantissa = code & 7;
    const double size = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
    return static_cast<float>((code & 0x80) != 0 ? -size : size);
}

TEST_P(RoundTrip, CastsExactly) {
    const auto from = model();
    shard(from, folder_ / "out", GetParam().slices, StoredType::Bf16);
    const RawTensors raw = test::read_model(from);
    const auto checkpoint = open_sluice_checkpoint(folder_ / "out");
    EXPECT_EQ(checkpoint->config().quantization.dtype, DType::BF16);
    EXPECT_EQ(checkpoint->config_json().find("quantization_config"), std::string::npos);
    for (const TensorSpec& spec : tensor_catalog(checkpoint->config())) {
        const RawTensor& source = raw.at(test::deepseek_name(spec));
        if (source.dtype != "F8_E4M3") continue;
        const RawTensor& scales = raw.at(test::deepseek_name(spec) + "_scale_inv");
        std::int64_t wrong = 0;
        walk(*checkpoint, spec,
             [&](const TensorSlice& part, auto row, auto col, auto whole_row, auto whole_col) {
                 bf16 bits = 0;
                 const auto index = static_cast<std::size_t>(row * part.shape[1] + col);
                 std::memcpy(&bits, part.values.data() + index * sizeof bits, sizeof bits);
                 const auto code = static_cast<unsigned char>(
                     source.bytes[static_cast<std::size_t>(whole_row * spec.full[1] + whole_col)]);
                 const float expected =
                     round_to_bf16(decode_e4m3(code) * scale_at(scales, whole_row, whole_col));
                 wrong += part.dtype != DType::BF16 || to_float(bits) != expected;
             });
        EXPECT_EQ(wrong, 0) << spec.name;
    }
}

TEST_P(RoundTrip, EqualInputsMakeEqualFiles) {
    const auto from = model();
    shard(from, folder_ / "a", GetParam().slices);
    shard(from, folder_ / "b", GetParam().slices);
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "a")) {
        const auto name = entry.path().filename();
        EXPECT_TRUE(content_of(entry.path()) == content_of(folder_ / "b" / name.string())) << name;
        ++files;
    }
    EXPECT_EQ(files, GetParam().slices + 1);
}

TEST_P(RoundTrip, ValuesBeginOnPagesOf4KiB) {
    shard(model(), folder_ / "out", GetParam().slices);
    const auto checkpoint = open_sluice_checkpoint(folder_ / "out");
    const auto lock = h5::hdf5_lock();
    for (const TensorSpec& spec : tensor_catalog(checkpoint->config())) {
        for (const int slice : slices_of(spec, GetParam().slices)) {
            const auto file =
                h5::open_to_read(folder_ / "out" / checkpoint_file_name(slice, GetParam().slices));
            const auto dataset = h5::open_dataset(file.get(), spec.name);
            EXPECT_EQ(H5Dget_offset(dataset.get()) % 4096, 0U) << spec.name;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Models, RoundTrip,
                         testing::Values(Case{"v3", 1}, Case{"v3", 2}, Case{"v3", 4}, Case{"v2", 2},
                                         Case{"odd", 1}, Case{"odd", 2}, Case{"odd", 3}),
                         [](const auto& param) {
                             return param.param.model + std::to_string(param.param.slices);
                         });

class Convert : public testing::Test {
protected:
    ScratchFolder folder_;
};

TEST_F(Convert, ChoosesTheMostSlicesThatHeadsAllow) {
    EXPECT_EQ(shard(test::tiny_v3(), folder_ / "out", 0).slices, 4);  // 4 heads
}

TEST_F(Convert, RefusesSlicesThatLeaveSomeEmpty) {
    expect_error([&] { shard(test::tiny_v3(), folder_ / "out", 8); }, ExitCode::Usage,
                 {"--slices 8", "/layers/0/attention/q_b", "1 to 4 would work"});
    expect_error([&] { shard(test::tiny_v3(), folder_ / "out", 999); }, ExitCode::Usage,
                 {"--slices 999", "1 to 4 would work", "4 is the default"});
}

TEST_F(Convert, RefusesATargetThatExists) {
    std::filesystem::create_directory(folder_ / "out");
    expect_error([&] { shard(test::tiny_v3(), folder_ / "out", 1); }, ExitCode::File,
                 {"out exists", "remove it"});
    expect_error([&] { shard(test::tiny_v3(), folder_ / "no/out", 1); }, ExitCode::File, {"no such folder"});
}

TEST_F(Convert, KeepsEmptyTextFiles) {
    test::copy_folder(test::tiny_v3(), folder_ / "model");
    folder_.put("model/chat_template.jinja", "");
    shard(folder_ / "model", folder_ / "out", 1);
    const auto checkpoint = open_sluice_checkpoint(folder_ / "out");
    EXPECT_EQ(checkpoint->text_files().at("chat_template.jinja"), "");
    EXPECT_EQ(checkpoint->text_files().at("tokenizer.json"), content_of(test::tiny_v3() / "tokenizer.json"));
    EXPECT_EQ(checkpoint->provenance().at("source"), "model");
}

TEST_F(Convert, DeepSeeksOwnKeysSayBf16AfterACast) {
    nlohmann::ordered_json config{{"vocab_size", 64},
                                  {"dim", 32},
                                  {"inter_dim", 48},
                                  {"moe_inter_dim", 16},
                                  {"n_layers", 2},
                                  {"n_dense_layers", 1},
                                  {"n_heads", 2},
                                  {"n_routed_experts", 4},
                                  {"n_shared_experts", 1},
                                  {"n_activated_experts", 2},
                                  {"q_lora_rank", 8},
                                  {"kv_lora_rank", 8},
                                  {"qk_nope_head_dim", 8},
                                  {"qk_rope_head_dim", 4},
                                  {"v_head_dim", 8},
                                  {"dtype", "fp8"},
                                  {"quantization_config", 1}};
    test::write_random_model(folder_ / "model", config, 100);
    shard(folder_ / "model", folder_ / "out", 2, StoredType::Bf16);
    const auto checkpoint = open_sluice_checkpoint(folder_ / "out");
    EXPECT_EQ(checkpoint->config().quantization.dtype, DType::BF16);
    EXPECT_EQ(nlohmann::json::parse(checkpoint->config_json()).at("dtype"), "bf16");
}

TEST_F(Convert, ADtypeThatIsNoTextStaysAsItIs) {
    test::copy_folder(test::tiny_v3(), folder_ / "model");
    test::edit_json(folder_ / "model/config.json", [](auto& config) { config["dtype"] = nullptr; });
    shard(folder_ / "model", folder_ / "out", 1, StoredType::Bf16);
    const auto checkpoint = open_sluice_checkpoint(folder_ / "out");
    EXPECT_TRUE(nlohmann::json::parse(checkpoint->config_json()).at("dtype").is_null());
}

TEST_F(Convert, TheSourcesNameIsStoredAsUtf8) {
    test::copy_folder(test::tiny_v3(), folder_ / "m\xc3\xb6\xff");
    shard(folder_ / "m\xc3\xb6\xff", folder_ / "out", 1);
    EXPECT_EQ(open_sluice_checkpoint(folder_ / "out")->provenance().at("source"), "m\u00f6\ufffd");
}

TEST_F(Convert, ReadersOfOneSliceReadOnlyThat) {
    const ConvertResult result = shard(test::tiny_v3(), folder_ / "out", 4);
    std::uint64_t split = 0;
    std::uint64_t common = 0;
    for (int slice = 0; slice < 4; ++slice) {
        const auto checkpoint = open_sluice_checkpoint(folder_ / "out");
        common = 0;
        for (const TensorSpec& spec : all_tensors(*checkpoint)) {
            const auto before = checkpoint->bytes_read();
            checkpoint->read(spec, slice);
            if (spec.cut.along == Along::Common) common += checkpoint->bytes_read() - before;
        }
        split += checkpoint->bytes_read() - common;
        EXPECT_LT(checkpoint->bytes_read(), result.bytes / 3);
    }
    // Blocks that two slices share have their scale in both, and so it is in the files.
    EXPECT_EQ(split + common, result.bytes);
}

}  // namespace
}  // namespace sluice
