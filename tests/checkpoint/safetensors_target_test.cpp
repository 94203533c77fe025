// Files in Hugging Face's layout that are laid out whole and filled at known places.
#include "checkpoint/safetensors_target.hpp"
#include "checkpoint/hf_files.hpp"
#include "checkpoint/output_files.hpp"
#include "checkpoint/safetensors_image.hpp"
#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice {
namespace {

namespace fs = std::filesystem;

SafetensorsPlan small_plan() {
    SafetensorsPlan plan;
    plan.tensors = {{"a.fp8", DType::F8E4M3, {3, 5}},
                    {"b.bf16", DType::BF16, {7}},
                    {"c.f32", DType::F32, {2, 3}},
                    {"d.empty", DType::F32, {0, 4}}};
    plan.text_files = {{"config.json", "{}\n"}};
    plan.file_bytes = 29;  // two files
    return plan;
}

std::vector<std::byte> content(std::size_t tensor, std::uint64_t bytes) {
    std::vector<std::byte> content(bytes);
    for (std::size_t i = 0; i < bytes; ++i) content[i] = static_cast<std::byte>(31 * tensor + i + 1);
    return content;
}

class SafetensorsTarget : public testing::Test {
protected:
    SafetensorsTarget() { fs::create_directory(made_); }

    std::unique_ptr<CheckpointTarget> target() const {
        return safetensors_target(plan_, {{"README.md", readme_}, {"model.py", code_}});
    }

    std::unique_ptr<CheckpointTarget> fill() const {
        auto target = this->target();
        target->create(made_);
        target->open(made_);
        const OutputFiles files(made_, target->files());
        for (std::size_t tensor = 0; tensor < plan_.tensors.size(); ++tensor) {
            const auto parts = target->parts(tensor);
            EXPECT_EQ(parts.size(), 1U);
            const SafetensorsTensor& planned = plan_.tensors[tensor];
            EXPECT_EQ(parts[0].rows, (Range{0, planned.shape[0]}));
            EXPECT_EQ(parts[0].rows.size() * parts[0].cols.size(), planned.shape.elements());
            EXPECT_EQ(parts[0].scales.bytes, 0U);
            files.write(parts[0].values, 0, content(tensor, planned.bytes()));
        }
        return target;
    }

    ScratchFolder folder_;
    fs::path made_ = folder_ / "made";
    fs::path readme_ = folder_.put("readme", "About this model");
    fs::path code_ = folder_.put("code", std::string(100'000, '#'));
    SafetensorsPlan plan_ = small_plan();
};

TEST_F(SafetensorsTarget, HoldsWhatWasWritten) {
    const auto target = fill();
    ASSERT_EQ(target->files().size(), 2U);
    EXPECT_EQ(target->seal(made_, {}), "");
    std::uint64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(made_)) bytes += entry.file_size();
    EXPECT_EQ(target->bytes(), bytes);
    const test::RawTensors tensors = test::read_model(made_);
    EXPECT_EQ(tensors.size(), plan_.tensors.size());
    for (std::size_t i = 0; i < plan_.tensors.size(); ++i) {
        const auto values = content(i, plan_.tensors[i].bytes());
        EXPECT_EQ(tensors.at(plan_.tensors[i].name).bytes,
                  std::string(reinterpret_cast<const char*>(values.data()), values.size()));
    }
    EXPECT_EQ(content_of(made_ / "README.md"), "About this model");
    EXPECT_EQ(content_of(made_ / "model.py"), std::string(100'000, '#'));
    EXPECT_EQ(content_of(made_ / "config.json"), "{}\n");
    EXPECT_EQ(std::distance(fs::directory_iterator(made_), {}), 2 + 2 + 2);
}

TEST_F(SafetensorsTarget, FilesAreBoundedAndIndexed) {
    fill();
    const auto index = nlohmann::json::parse(content_of(made_ / "model.safetensors.index.json"));
    EXPECT_EQ(index.at("metadata").at("total_size"), 15 + 14 + 24);
    const nlohmann::json map{{"a.fp8", "model-00001-of-00002.safetensors"},
                             {"b.bf16", "model-00001-of-00002.safetensors"},
                             {"c.f32", "model-00002-of-00002.safetensors"},
                             {"d.empty", "model-00002-of-00002.safetensors"}};
    EXPECT_EQ(index.at("weight_map"), map);
    EXPECT_EQ(HuggingFaceFiles(made_).tensors().size(), 4U);
}

TEST_F(SafetensorsTarget, ATensorBeyondTheBoundHasAFileOfItsOwn) {
    plan_.file_bytes = 1;
    EXPECT_EQ(fill()->files().back(), "model-00003-of-00003.safetensors") << "empty ones join";
}

// Readers that view a mapped file as an array of elements need them aligned.
TEST_F(SafetensorsTarget, OneFileNeedsNoIndexAndElementsAreAligned) {
    plan_.file_bytes = 1000;
    fill();
    EXPECT_FALSE(fs::exists(made_ / "model.safetensors.index.json"));
    const SafetensorsFile file(made_ / "model.safetensors");  // which checks it whole
    for (const auto& [name, entry] : file.tensors())
        EXPECT_EQ(entry.begin % size_of(*entry.type), 0U) << name;
    EXPECT_EQ(file.tensors().at("c.f32").shape_text(), "[2, 3]");
}

TEST_F(SafetensorsTarget, NamesStandOnce) {
    plan_.tensors.push_back(plan_.tensors[0]);
    expect_error([&] { target(); }, ExitCode::Internal, {"one name"});
}

TEST_F(SafetensorsTarget, IsLaidOutOverWhatAKilledProcessLeft) {
    target()->create(made_);
    const std::string whole = content_of(made_ / "model-00001-of-00002.safetensors");
    folder_.put("made/model-00001-of-00002.safetensors", std::string(50'000, 'x'));
    folder_.put("made/README.md", "Ab");
    fs::permissions(made_ / "README.md", fs::perms::owner_read);
    target()->create(made_);
    EXPECT_EQ(content_of(made_ / "model-00001-of-00002.safetensors"), whole);
    EXPECT_EQ(content_of(made_ / "README.md"), "About this model");
}

TEST_F(SafetensorsTarget, OtherFilesAreRefused) {
    target()->create(made_);
    const auto refused = [&](std::initializer_list<std::string_view> parts) {
        expect_error([&] { target()->open(made_); }, ExitCode::File, parts);
    };
    plan_.tensors[2].dtype = DType::BF16;
    refused({"model-00002-of-00002.safetensors", "not as it was laid out", "start again"});
    plan_ = small_plan();
    plan_.tensors[2].name = "C.f32";  // as long as before
    refused({"model-00002-of-00002.safetensors", "not as it was laid out"});
    plan_ = small_plan();
    EXPECT_NO_THROW(target()->open(made_));
    const fs::path last = made_ / "model-00002-of-00002.safetensors";
    fs::resize_file(last, fs::file_size(last) - 1);
    refused({"model-00002-of-00002.safetensors", "not as it was laid out"});
    fs::resize_file(last, 3);
    refused({"model-00002-of-00002.safetensors", "not as it was laid out"});
    fs::remove(last);
    refused({"model-00002-of-00002.safetensors", "No such file"});
}

TEST_F(SafetensorsTarget, CopiesThatAreMissingAreTold) {
    expect_error(
        [&] {
            safetensors_target(plan_, {{"README.md", folder_ / "no"}});
        },
        ExitCode::File, {"cannot read", "no", "No such file"});
    const auto target = this->target();
    fs::remove(code_);
    expect_error([&] { target->create(made_); }, ExitCode::File, {"cannot copy", "code", "No such file"});
    expect_error(
        [&] {
            safetensors_target(plan_, {{"config.json", readme_}});
        },
        ExitCode::Internal, {"config.json", "one name"});
}

}  // namespace
}  // namespace sluice
