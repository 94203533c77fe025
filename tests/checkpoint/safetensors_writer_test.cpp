// Files in Hugging Face's layout, written in pieces.
#include "checkpoint/safetensors_writer.hpp"
#include "checkpoint/hf_files.hpp"
#include "checkpoint/safetensors_image.hpp"
#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace sluice {
namespace {

// Of odd sizes: 15 bytes of fp8, 14 of bfloat16, 24 of float32, and nothing.
SafetensorsPlan small_plan() {
    SafetensorsPlan plan;
    plan.tensors = {{"a.fp8", DType::F8E4M3, {3, 5}},
                    {"b.bf16", DType::BF16, {7}},
                    {"c.f32", DType::F32, {2, 3}},
                    {"d.empty", DType::F32, {0, 4}}};
    plan.text_files = {{"config.json", "{}\n"}};
    return plan;
}

// Byte i of tensor t.
std::string content(const SafetensorsPlan& plan, std::size_t t) {
    std::string bytes;
    for (std::uint64_t i = 0; i < plan.tensors[t].bytes(); ++i) bytes += static_cast<char>(31 * t + i);
    return bytes;
}

std::span<const std::byte> bytes_of(std::string_view text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

class SafetensorsWriting : public testing::Test {
protected:
    // Each tensor in two pieces, the later first.
    void write_all(SafetensorsWriter& writer, const SafetensorsPlan& plan) const {
        for (std::size_t t = plan.tensors.size(); t-- > 0;) {
            const std::string bytes = content(plan, t);
            const std::size_t half = bytes.size() / 2;
            writer.write(t, half, bytes_of(std::string_view(bytes).substr(half)));
            writer.write(t, 0, bytes_of(std::string_view(bytes).substr(0, half)));
        }
    }
    void write_whole(const SafetensorsPlan& plan) const {
        SafetensorsWriter writer(target_, plan);
        write_all(writer, plan);
        EXPECT_FALSE(std::filesystem::exists(target_)) << "before it is whole";
        writer.finish();
    }
    void expect_contents(const SafetensorsPlan& plan) const {
        const test::RawTensors tensors = test::read_model(target_);
        EXPECT_EQ(tensors.size(), plan.tensors.size());
        for (std::size_t t = 0; t < plan.tensors.size(); ++t)
            EXPECT_EQ(tensors.at(plan.tensors[t].name).bytes, content(plan, t)) << plan.tensors[t].name;
    }
    std::size_t entries() const {
        return static_cast<std::size_t>(
            std::distance(std::filesystem::directory_iterator(folder_.path()), {}));
    }

    ScratchFolder folder_;
    std::filesystem::path target_ = folder_ / "model";
};

TEST_F(SafetensorsWriting, OneFileNeedsNoIndex) {
    const SafetensorsPlan plan = small_plan();
    write_whole(plan);
    expect_contents(plan);
    EXPECT_TRUE(std::filesystem::exists(target_ / "model.safetensors"));
    EXPECT_FALSE(std::filesystem::exists(target_ / "model.safetensors.index.json"));
    EXPECT_EQ(content_of(target_ / "config.json"), "{}\n");
    const SafetensorsFile file(target_ / "model.safetensors");  // which checks it whole
    EXPECT_EQ(file.tensors().at("a.fp8").type, DType::F8E4M3);
    EXPECT_EQ(file.tensors().at("c.f32").shape_text(), "[2, 3]");
    EXPECT_EQ(entries(), 1U);
}

// Readers that view a mapped file as an array of elements need them aligned.
TEST_F(SafetensorsWriting, ElementsAreAligned) {
    write_whole(small_plan());
    const SafetensorsFile file(target_ / "model.safetensors");
    for (const auto& [name, entry] : file.tensors())
        EXPECT_EQ(entry.begin % size_of(*entry.type), 0U) << name;
}

TEST_F(SafetensorsWriting, FilesAreBoundedAndIndexed) {
    SafetensorsPlan plan = small_plan();
    plan.file_bytes = 29;  // fp8 and bfloat16 together, float32 alone
    write_whole(plan);
    expect_contents(plan);
    const auto index = nlohmann::json::parse(content_of(target_ / "model.safetensors.index.json"));
    EXPECT_EQ(index.at("metadata").at("total_size"), 15 + 14 + 24);
    const nlohmann::json map{{"a.fp8", "model-00001-of-00002.safetensors"},
                             {"b.bf16", "model-00001-of-00002.safetensors"},
                             {"c.f32", "model-00002-of-00002.safetensors"},
                             {"d.empty", "model-00002-of-00002.safetensors"}};
    EXPECT_EQ(index.at("weight_map"), map);
    EXPECT_EQ(HuggingFaceFiles(target_).tensors().size(), 4U);
}

TEST_F(SafetensorsWriting, ATensorBeyondTheBoundHasAFileOfItsOwn) {
    SafetensorsPlan plan = small_plan();
    plan.file_bytes = 1;
    write_whole(plan);
    expect_contents(plan);
    EXPECT_TRUE(std::filesystem::exists(target_ / "model-00003-of-00003.safetensors")) << "empty ones join";
}

TEST_F(SafetensorsWriting, ThreadsMayShareAWriter) {
    SafetensorsPlan plan;
    for (int i = 0; i < 40; ++i) plan.tensors.push_back({"t" + std::to_string(i), DType::F32, {100, 3}});
    plan.file_bytes = 5000;
    SafetensorsWriter writer(target_, plan);
    {
        std::vector<std::jthread> threads;
        for (std::size_t part = 0; part < 4; ++part) {
            threads.emplace_back([&, part] {
                for (std::size_t t = 0; t < plan.tensors.size(); ++t)
                    writer.write(t, 300 * part,
                                 bytes_of(std::string_view(content(plan, t)).substr(300 * part, 300)));
            });
        }
    }
    writer.finish();
    expect_contents(plan);
}

TEST_F(SafetensorsWriting, WithoutFinishNothingIsLeft) {
    {
        SafetensorsWriter writer(target_, small_plan());
        write_all(writer, small_plan());
        EXPECT_EQ(entries(), 1U);
    }
    EXPECT_EQ(entries(), 0U);
}

TEST_F(SafetensorsWriting, MissingBytesAndTooManyAreNoticed) {
    const SafetensorsPlan plan = small_plan();
    SafetensorsWriter writer(target_, plan);
    const std::string bytes(24, 'x');
    writer.write(2, 0, bytes_of(bytes));
    expect_error([&] { writer.finish(); }, ExitCode::Internal, {"model.safetensors", "29 bytes"});
    expect_error([&] { writer.write(2, 1, bytes_of(bytes)); }, ExitCode::Internal, {"c.f32"});
    expect_error(
        [&] {
            SafetensorsWriter(folder_ / "other", {{plan.tensors[0], plan.tensors[0]}, {}, 1});
        },
        ExitCode::Internal, {"one name"});
}

TEST_F(SafetensorsWriting, TargetsThatExistOrDoNotFitAreRefused) {
    folder_.put("model", "mine");
    expect_error([&] { SafetensorsWriter(target_, small_plan()); }, ExitCode::File, {"model", "exists"});
    SafetensorsPlan plan = small_plan();
    plan.tensors.push_back({"huge", DType::BF16, {std::int64_t{1} << 40, 1 << 14}});
    expect_error([&] { SafetensorsWriter(folder_ / "other", plan); }, ExitCode::File, {"needed", "free"});
    EXPECT_EQ(entries(), 1U);
    EXPECT_EQ(content_of(target_), "mine");
}

}  // namespace
}  // namespace sluice
