#include "checkpoint/safetensors.hpp"
#include "checkpoint/models.hpp"
#include "checkpoint/safetensors_image.hpp"
#include "support/scratch_folder.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using test::write_safetensors;

class Safetensors : public testing::Test {
protected:
    void refused(std::string_view header, std::string_view data,
                 std::initializer_list<std::string_view> parts) {
        write_safetensors(path_, header, data);
        refused(parts);
    }
    void refused(std::initializer_list<std::string_view> parts) {
        expect_error([&] { const SafetensorsFile file(path_); }, ExitCode::Checkpoint, parts);
    }

    ScratchFolder folder_;
    std::filesystem::path path_ = folder_ / "x.safetensors";
};

TEST_F(Safetensors, ReadsWhatIsThere) {
    write_safetensors(
        path_,
        R"({"__metadata__":{"format":"pt"},"b":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},)"
        R"("a":{"dtype":"BF16","shape":[1,2],"data_offsets":[3,7]},)"
        R"("none":{"dtype":"F16","shape":[0,5],"data_offsets":[7,7]},)"
        R"("one":{"dtype":"F64","shape":[],"data_offsets":[7,15]}})",
        "xyzABCD12345678");
    const SafetensorsFile file(path_);
    ASSERT_EQ(file.tensors().size(), 4U);
    const SafetensorsEntry& a = file.tensors().at("a");
    EXPECT_EQ(a.type, DType::BF16);
    EXPECT_EQ(a.shape_text(), "[1, 2]");
    std::string bytes(4, ' ');
    file.file().read(a.begin, std::as_writable_bytes(std::span(bytes)));
    EXPECT_EQ(bytes, "ABCD");
    EXPECT_EQ(file.tensors().at("none").type, std::nullopt);
    EXPECT_EQ(file.tensors().at("one").end - file.tensors().at("one").begin, 8U);
}

TEST_F(Safetensors, RefusesFilesTooShort) {
    folder_.put("x.safetensors", "");
    refused({"x.safetensors", "0 bytes"});
    folder_.put("x.safetensors", "1234567");
    refused({"7 bytes"});
}

TEST_F(Safetensors, RefusesAHeaderBeyondTheFileOrTheLimit) {
    write_safetensors(path_, "{}", "", 1000);
    refused({"header of 1000 bytes", "cut short"});
    write_safetensors(path_, "{}", "", 0xffffffffffffffffU);
    refused({"limit"});
}

TEST_F(Safetensors, RefusesHeadersThatAreNoObject) {
    refused("{\"a\":", "", {"not valid JSON"});
    refused("[]", "", {"not a JSON object"});
    refused(R"({"a":[]})", "", {"tensor a", "no 'dtype'"});
    refused(R"({"a":{"dtype":"U8","shape":[1]}})", "x", {"tensor a", "no 'data_offsets'"});
    refused(std::string(100000, '['), "", {"nested deeper"});
}

TEST_F(Safetensors, RefusesMetadataThatIsNoObjectOfStrings) {
    for (const char* metadata : {"7", "\"pt\"", "[]", R"(["pt"])", R"({"a":1})", R"({"a":null})",
                                 R"({"a":true})", R"({"a":["b"]})", R"({"a":{"b":"c"}})"}) {
        refused(fmt::format(R"({{"__metadata__":{}}})", metadata), "",
                {"'__metadata__'", "object of strings"});
    }
    write_safetensors(path_, R"({"__metadata__":{},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                      "x");
    EXPECT_EQ(SafetensorsFile(path_).tensors().size(), 1U);
}

TEST_F(Safetensors, RefusesUnknownTypes) {
    refused(R"({"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}})", "x",
            {"tensor a", "unsupported dtype F4"});
    refused(R"({"a":{"dtype":7,"shape":[1],"data_offsets":[0,1]}})", "x", {"'dtype' is 7"});
}

TEST_F(Safetensors, RefusesShapesThatAreNone) {
    refused(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", "x", {"dimension -1"});
    refused(R"({"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}})", "x", {"dimension 1.5"});
    refused(R"({"a":{"dtype":"U8","shape":3,"data_offsets":[0,1]}})", "x", {"'shape' is 3"});
    refused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", "", {"64 bits"});
}

TEST_F(Safetensors, RefusesOffsetsThatDoNotFit) {
    refused(R"({"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}})", "12345678",
            {"9", "holds 8", "cut short"});
    refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[2,1]}})", "12345678", {"bytes 2 to 1"});
    refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", "1", {"'data_offsets' is [-1,0]"});
    refused(R"({"a":{"dtype":"BF16","shape":[3],"data_offsets":[0,8]}})", "12345678",
            {"8 bytes stored", "BF16 [3] needs 6"});
}

TEST_F(Safetensors, RefusesOverlapsHolesAndRests) {
    refused(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
            R"("b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
            "1234567", {"tensors a and b overlap"});
    refused(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
            R"("b":{"dtype":"U8","shape":[2],"data_offsets":[5,7]}})",
            "1234567", {"1 unused bytes before tensor b"});
    refused(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", "1234567",
            {"3 bytes after the last"});
}

TEST_F(Safetensors, RefusesTheSameNameTwice) {
    refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
            R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
            "12", {"tensor a stands twice"});
}

TEST_F(Safetensors, RefusesEveryCutOfARealFile) {
    const std::string content = content_of(test::tiny_v3() / test::kFirstFile);
    for (const std::size_t size :
         {std::size_t{4}, std::size_t{8}, std::size_t{5000}, content.size() / 2, content.size() - 1}) {
        folder_.put("x.safetensors", content.substr(0, size));
        refused({"x.safetensors"});
    }
}

TEST_F(Safetensors, RefusesWhatIsNoFile) {
    refused({"x.safetensors", "No such file"});
    std::filesystem::create_directory(path_);
    refused({"not a regular file"});
}

}  // namespace
}  // namespace sluice
