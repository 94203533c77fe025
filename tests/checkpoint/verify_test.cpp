// What is found out about damaged checkpoints, and about those that do not say what their source does.
#include "checkpoint/verify.hpp"

#include "checkpoint/convert.hpp"
#include "checkpoint/hdf5_handle.hpp"
#include "checkpoint/hdf5_target.hpp"
#include "checkpoint/layout.hpp"
#include "checkpoint/metadata_block.hpp"
#include "checkpoint/models.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "support/scratch_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kOutput = "/layers/0/attention/o";

class Verify : public testing::Test {
protected:
    void SetUp() override {
        test::copy_folder(test::tiny_v3(), model_);
        convert(StoredType::Keep);
    }
    void convert(StoredType type) { convert(test::tiny_v3(), type); }
    void convert(const std::filesystem::path& model, StoredType type) {
        std::filesystem::remove_all(out_);
        ConvertOptions options;
        options.slices = 2;
        options.type = type;
        options.tool = "test";
        convert_checkpoint(model, out_, options, [](std::uint64_t, std::uint64_t) { return true; });
    }
    static Verification verify(const std::filesystem::path& folder,
                               const std::optional<std::filesystem::path>& against = {}, int threads = 2) {
        return verify_checkpoint(folder, against, threads, [](std::uint64_t, std::uint64_t) { return true; });
    }
    // The only thing found.
    static Finding only(const Verification& verification) {
        EXPECT_EQ(verification.findings.size(), 1U);
        for (const Finding& finding : verification.findings)
            EXPECT_TRUE(&finding == &verification.findings[0]) << finding.subject << ": " << finding.text;
        return verification.findings.empty() ? Finding{Fault::Id, "", ""} : verification.findings[0];
    }
    TensorSlice part(const std::string& name, int slice) const {
        const auto checkpoint = open_sluice_checkpoint(out_);
        for (const TensorSpec& spec : tensor_catalog(checkpoint->config()))
            if (spec.name == name) return checkpoint->read(spec, slice);
        throw std::runtime_error("no tensor " + name);
    }
    // Flips one bit in the middle of `bytes`, which must stand in the file.
    static void alter(const std::filesystem::path& path, const std::string& bytes) {
        std::string content = content_of(path);
        const std::size_t at = content.find(bytes);
        ASSERT_NE(at, std::string::npos);
        content[at + bytes.size() / 2] = static_cast<char>(content[at + bytes.size() / 2] ^ 1);
        std::ofstream(path, std::ios::binary) << content;
    }
    void alter_values(const std::string& name, int slice) {
        const TensorSlice stored = part(name, slice);
        alter(out_ / checkpoint_file_name(slice, 2),
              {reinterpret_cast<const char*>(stored.values.data()), stored.values.size()});
    }
    // As a writer with an error would have left it: the metadata's checksum is right.
    void edit(int slice, const std::function<void(hid_t)>& change) {
        const std::filesystem::path path = out_ / checkpoint_file_name(slice, 2);
        const std::uint64_t end = check_metadata(InputFile(path)).size();
        {
            const auto lock = h5::hdf5_lock();
            change(h5::open_to_fill(path).get());
        }
        write_metadata_block(path, end);
    }
    void edit_model(const std::string& name, const std::function<void(test::RawTensor&)>& edit) {
        for (const char* file : {test::kFirstFile, test::kSecondFile})
            test::edit_tensors(model_ / file, [&](test::RawTensors& tensors) {
                if (const auto found = tensors.find(name); found != tensors.end()) edit(found->second);
            });
    }

    ScratchFolder folder_;
    std::filesystem::path out_ = folder_ / "out";
    std::filesystem::path model_ = folder_ / "model";
};

TEST_F(Verify, WholeCheckpointsAreRight) {
    for (const StoredType type : {StoredType::Keep, StoredType::Bf16}) {
        convert(type);
        const Verification alone = verify(out_);
        EXPECT_THAT(alone.findings, IsEmpty());
        EXPECT_TRUE(alone.checksums);
        EXPECT_EQ(alone.id, open_sluice_checkpoint(out_)->id());
        EXPECT_EQ(alone.tensors, open_source(out_)->tensors().size());
        EXPECT_GT(alone.bytes, 9'000'000U);
        const Verification compared = verify(out_, model_);
        EXPECT_THAT(compared.findings, IsEmpty());
        EXPECT_GT(compared.bytes, alone.bytes + 9'000'000);
    }
}

TEST_F(Verify, OtherFormatsHaveNoChecksums) {
    const std::filesystem::path grok = std::filesystem::path(SLUICE_TEST_DATA) / "models/grok-tiny";
    for (const std::filesystem::path& folder : {model_, grok}) {
        const Verification verification = verify(folder);
        EXPECT_THAT(verification.findings, IsEmpty());
        EXPECT_FALSE(verification.checksums);
        EXPECT_THAT(verify(folder, folder).findings, IsEmpty());
    }
    edit_model("model.layers.0.self_attn.o_proj.weight_scale_inv", [](test::RawTensor& scales) {
        scales.bytes.replace(0, 4, std::string("\x00\x00\xc0\x7f", 4));
    });
    const Finding finding = only(verify(model_));
    EXPECT_EQ(finding.fault, Fault::Damaged);
    EXPECT_EQ(finding.subject, kOutput);
    EXPECT_THAT(finding.text, HasSubstr("finite"));
}

TEST_F(Verify, AlteredValuesAreAllFoundInOneOrder) {
    alter_values("/layers/3/experts/5/up", 0);
    alter_values(kOutput, 1);
    for (const int threads : {1, 2, 7}) {
        const Verification verification = verify(out_, {}, threads);
        ASSERT_EQ(verification.findings.size(), 2U);
        EXPECT_EQ(verification.findings[0].fault, Fault::Damaged);
        EXPECT_EQ(verification.findings[0].subject, kOutput);
        EXPECT_THAT(verification.findings[0].text, HasSubstr("slice-001-of-002.h5"));
        EXPECT_THAT(verification.findings[0].text, HasSubstr("is altered"));
        EXPECT_EQ(verification.findings[1].subject, "/layers/3/experts/5/up");
    }
}

TEST_F(Verify, AlteredScales) {
    const TensorSlice stored = part(kOutput, 0);
    alter(out_ / "slice-000-of-002.h5",
          {reinterpret_cast<const char*>(stored.scales.data()), stored.scales.size() * sizeof(float)});
    const Finding finding = only(verify(out_));
    EXPECT_EQ(finding.fault, Fault::Damaged);
    EXPECT_EQ(finding.subject, kOutput);
    EXPECT_THAT(finding.text, HasSubstr(std::string(kOutput) + ".scale is altered"));
}

// All values are zeros, and as they should be; but there is a tensor more than the model has.
TEST_F(Verify, UnknownDatasets) {
    const auto source = open_source(out_);
    SluicePlan plan;
    plan.slices = 2;
    plan.config_json = source->config_json();
    for (const TensorSpec& spec : source->tensors())
        plan.tensors.push_back({spec, source->form(spec).dtype, source->form(spec).block});
    plan.tensors.push_back(
        {{"/layers/0/attention/spare", {2, 2}, false, false, {Along::Axis}}, DType::BF16, {}});
    const auto zeros = [](std::uint64_t bytes) {
        const std::vector<std::byte> all(bytes);
        return checksum_of(all.data(), bytes);
    };
    const std::filesystem::path folder = folder_ / "spare";
    std::filesystem::create_directory(folder);
    const auto target = hdf5_target(plan);
    target->create(folder);
    target->open(folder);
    std::vector<std::vector<PartChecksums>> checksums(plan.tensors.size());
    for (std::size_t tensor = 0; tensor < plan.tensors.size(); ++tensor)
        for (const PlacedPart& part : target->parts(tensor))
            checksums[tensor].push_back({zeros(part.values.bytes), zeros(part.scales.bytes)});
    target->seal(folder, checksums);
    const Verification report = verify(folder);
    std::vector<std::string> unknown;
    for (const Finding& finding : report.findings)
        if (finding.fault == Fault::Unknown) unknown.push_back(finding.subject);
    EXPECT_THAT(unknown, testing::ElementsAre(HasSubstr("slice-000-of-002.h5: /layers/0/attention/spare"),
                                              HasSubstr("slice-001-of-002.h5: /layers/0/attention/spare")));
}

TEST_F(Verify, AnotherId) {
    const std::string id(ContentId::kDigits, '7');
    for (const int slice : {kCommonIndex, 0, 1})
        edit(slice, [&](hid_t file) { h5::set_attribute(file, "checkpoint_id", id); });
    const Finding finding = only(verify(out_));
    EXPECT_EQ(finding.fault, Fault::Id);
    EXPECT_THAT(finding.text, HasSubstr(id));
}

TEST_F(Verify, AnIdIsNoPath) {
    edit(kCommonIndex, [&](hid_t file) {
        h5::set_attribute(file, "checkpoint_id", std::string("../../../../../../../../../evil/a"));
    });
    expect_error([&] { verify(out_); }, ExitCode::Checkpoint, {"common.h5", "id is none that Sluice gives"});
}

TEST_F(Verify, WhatCannotBeOpenedIsRefused) {
    std::filesystem::remove(out_ / "slice-001-of-002.h5");
    expect_error([&] { verify(out_); }, ExitCode::Checkpoint, {"slice-001-of-002.h5 is missing"});
    expect_error([&] { verify(model_, folder_ / "nowhere"); }, ExitCode::Checkpoint, {"nowhere"});
}

TEST_F(Verify, CopiedValuesAreEqual) {
    edit_model("model.layers.0.self_attn.o_proj.weight", [](test::RawTensor& tensor) {
        tensor.bytes[300] = static_cast<char>(tensor.bytes[300] ^ 1);
        tensor.bytes[400] = static_cast<char>(tensor.bytes[400] ^ 0x80);
    });
    const Finding finding = only(verify(out_, model_));
    EXPECT_EQ(finding.fault, Fault::Values);
    EXPECT_EQ(finding.subject, kOutput);
    ASSERT_TRUE(finding.difference);
    EXPECT_EQ(finding.difference->count, 2);
    EXPECT_EQ(finding.difference->row, 300 / 128);
    EXPECT_EQ(finding.difference->col, 300 % 128);
    EXPECT_THAT(finding.text, HasSubstr("2 of 32768 values differ, the first at [2, 44]: expected "));
}

TEST_F(Verify, CopiedScalesAreEqual) {
    edit_model("model.layers.0.self_attn.o_proj.weight_scale_inv",
               [](test::RawTensor& scales) { scales.bytes[4] = static_cast<char>(scales.bytes[4] ^ 1); });
    const Finding finding = only(verify(out_, model_));
    EXPECT_EQ(finding.fault, Fault::Scales);
    EXPECT_EQ(finding.difference->count, 1);
    EXPECT_EQ(finding.difference->row, 1);
}

TEST_F(Verify, DequantisedValuesAreExact) {
    convert(StoredType::Bf16);
    edit_model("model.layers.2.mlp.experts.4.down_proj.weight_scale_inv", [](test::RawTensor& scales) {
        scales.bytes[2] = static_cast<char>(scales.bytes[2] ^ 1);  // by 2^-7 of itself
    });
    const Finding finding = only(verify(out_, model_));
    EXPECT_EQ(finding.fault, Fault::Values);
    EXPECT_EQ(finding.subject, "/layers/2/experts/4/down");
}

TEST_F(Verify, QuantisedValuesAreNearest) {
    const std::filesystem::path llama = std::filesystem::path(SLUICE_TEST_DATA) / "models/llama-tiny";
    test::copy_folder(llama, folder_ / "llama");
    ConvertOptions options;
    options.type = StoredType::Fp8;
    options.tool = "test";
    const std::filesystem::path fp8 = folder_ / "fp8";
    convert_checkpoint(llama, fp8, options, [](std::uint64_t, std::uint64_t) { return true; });
    EXPECT_THAT(verify(fp8, llama).findings, IsEmpty());
    const auto edit = [&](const std::function<void(std::string&)>& change) {
        test::edit_tensors(folder_ / "llama/model.safetensors", [&](test::RawTensors& tensors) {
            change(tensors.at("model.layers.0.self_attn.o_proj.weight").bytes);
        });
    };
    edit([](std::string& bytes) { bytes[301] = static_cast<char>(bytes[301] ^ 0x80); });  // the sign
    const Finding sign = only(verify(fp8, folder_ / "llama"));
    EXPECT_EQ(sign.fault, Fault::Values);
    EXPECT_EQ(sign.difference->col, 150);
    EXPECT_THAT(sign.text, HasSubstr("more than half a step off"));
}

TEST_F(Verify, ScalesUseTheirRange) {
    convert(StoredType::Bf16);
    EXPECT_THAT(verify(model_, out_).findings, IsEmpty());
    edit_model("model.layers.0.self_attn.o_proj.weight",
               [](test::RawTensor& tensor) { tensor.bytes.assign(tensor.bytes.size(), '\x70'); });  // 128
    convert(model_, StoredType::Bf16);
    const Finding finding = only(verify(model_, out_));
    EXPECT_EQ(finding.fault, Fault::WastedRange);
    EXPECT_EQ(finding.subject, kOutput);
    EXPECT_EQ(finding.difference->count, 2);
    EXPECT_EQ(finding.difference->expected, 448);
    EXPECT_EQ(finding.difference->found, 128);
}

TEST_F(Verify, PowerOfTwoScalesUseHalfTheirRange) {
    edit_model("model.layers.0.self_attn.o_proj.weight",
               [](test::RawTensor& tensor) { tensor.bytes.assign(tensor.bytes.size(), '\x76'); });  // 224
    convert(model_, StoredType::Bf16);
    EXPECT_EQ(only(verify(model_, out_)).fault, Fault::WastedRange);
    test::edit_json(model_ / "config.json", [](nlohmann::ordered_json& config) {
        config["quantization_config"]["scale_fmt"] = "ue8m0";
    });
    EXPECT_THAT(verify(model_, out_).findings, IsEmpty());
}

TEST_F(Verify, ConfigurationsAreTheSame) {
    const std::string config = content_of(model_ / "config.json");
    const auto finding = [&](const std::function<void(nlohmann::ordered_json&)>& edit) {
        std::ofstream(model_ / "config.json") << config;
        test::edit_json(model_ / "config.json", edit);
        const Finding found = only(verify(out_, model_));
        EXPECT_EQ(found.fault, Fault::Config);
        EXPECT_EQ(found.subject, "config.json");
        return found.text;
    };
    EXPECT_EQ(finding([](auto& c) { c["rope_theta"] = 50000; }),
              "rope theta is 10000, but 50000 in the source");
    EXPECT_THAT(finding([](auto& c) { c["rms_norm_eps"] = 0.5; }), HasSubstr("epsilon"));
    EXPECT_THAT(finding([](auto& c) { c["rope_scaling"]["beta_fast"] = 7; }), HasSubstr("rotary"));
    EXPECT_THAT(finding([](auto& c) { c["routed_scaling_factor"] = 7.5; }), HasSubstr("layer 1 is not"));
}

TEST_F(Verify, PredictionLayersOfOneSideAreOneFinding) {
    for (const char* file : {test::kFirstFile, test::kSecondFile})
        test::edit_tensors(model_ / file, [](test::RawTensors& tensors) {
            std::erase_if(tensors, [](const auto& t) { return t.first.starts_with("model.layers.4."); });
        });
    test::edit_json(model_ / test::kIndexFile, [](nlohmann::ordered_json& index) {
        auto kept = nlohmann::ordered_json::object();
        for (const auto& [name, file] : index.at("weight_map").items())
            if (!name.starts_with("model.layers.4.")) kept[name] = file;
        index["weight_map"] = kept;
    });
    const Finding here = only(verify(out_, model_));
    EXPECT_EQ(here.fault, Fault::Missing);
    EXPECT_EQ(here.subject, "/mtp");
    EXPECT_THAT(here.text, HasSubstr("only in the checkpoint"));
    EXPECT_THAT(only(verify(model_, out_)).text, HasSubstr("only in the source"));
}

TEST_F(Verify, OtherModels) {
    const Verification verification = verify(out_, test::tiny_v2());
    std::size_t missing = 0;
    std::size_t shapes = 0;
    for (const Finding& finding : verification.findings) {
        missing += finding.fault == Fault::Missing ? 1 : 0;
        shapes += finding.fault == Fault::Shape ? 1 : 0;
    }
    EXPECT_GT(missing, 0U);
    EXPECT_GT(shapes, 0U);
}

}  // namespace
}  // namespace sluice
