#include "checkpoint/grok_files.hpp"
#include "checkpoint/pickle_image.hpp"
#include "support/scratch_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace sluice {
namespace {

namespace pickled = test::pickled;
using testing::ElementsAre;

class GrokFolder : public testing::Test {
protected:
    // A file that says of itself which it is.
    void put(const std::string& name, std::int32_t size = 1) const {
        const std::string content(static_cast<std::size_t>(size) * 4, name.back());
        folder_.put(name, pickled::whole(pickled::array(pickled::f32(), {size}, content).stream()));
    }
    void refused(std::initializer_list<std::string_view> parts) const {
        expect_error([&] { const GrokFiles files(folder_.path()); }, ExitCode::Checkpoint, parts);
    }

    ScratchFolder folder_;
};

std::byte first_byte(const PickledTensorFile& file) {
    std::byte first{0xff};
    file.file().read(file.tensor().values.begin, {&first, 1});
    return first;
}

TEST_F(GrokFolder, FindsEveryTensorOfEveryHost) {
    for (int index = 0; index < 3; ++index)
        for (int host = 0; host < 2; ++host)
            put(fmt::format("tensor{:05}_{:03}", index, host), 10 * index + host + 1);
    folder_.put("README.md", "no tensor");
    const GrokFiles files(folder_.path());
    ASSERT_EQ(files.count(), 3U);
    ASSERT_EQ(files.hosts(), 2);
    for (std::size_t index = 0; index < 3; ++index) {
        for (int host = 0; host < 2; ++host) {
            const std::int64_t size = 10 * static_cast<std::int64_t>(index) + host + 1;
            EXPECT_THAT(files.tensor(index, host).values.dims, ElementsAre(size));
            const PickledTensorFile& file = files.file(index, host);
            EXPECT_EQ(file.path(), folder_ / fmt::format("tensor{:05}_{:03}", index, host));
            EXPECT_EQ(first_byte(file), std::byte('0' + host));
        }
    }
}

TEST_F(GrokFolder, RefusesTensorsThatAreNotThere) {
    put("tensor00000_000");
    const GrokFiles files(folder_.path());
    expect_error([&] { (void)files.file(1, 0); }, ExitCode::Internal, {"no tensor file 1 of host 0"});
    expect_error([&] { (void)files.file(0, 1); }, ExitCode::Internal, {"no tensor file 0 of host 1"});
    expect_error([&] { (void)files.file(0, -1); }, ExitCode::Internal, {"host -1"});
}

TEST(GrokRelease, IsFoundFromTheFolderAboveOrWithin) {
    const std::filesystem::path model = std::filesystem::path(SLUICE_TEST_DATA) / "models/grok-tiny";
    for (const auto& folder : {model, model / "ckpt-0", model / "ckpt-0" / ""}) {
        const GrokFiles files(folder);
        EXPECT_EQ(files.count(), 50U);
        EXPECT_EQ(files.hosts(), 1);
        EXPECT_THAT(files.tensor(0, 0).values.dims, ElementsAre(1024, 192));
        EXPECT_THAT(files.tensor(13, 0).values.dims, ElementsAre(192, 8));
        EXPECT_THAT(files.tensor(49, 0).values.dims, ElementsAre(192, 8));
    }
}

TEST_F(GrokFolder, RefusesAFolderWithoutTensors) {
    refused({folder_.path().string(), "no files like tensor00000_000"});
    std::filesystem::create_directory(folder_ / "ckpt-0");
    put("tensor00000_000");
    refused({"ckpt-0", "no files like"});
    expect_error([&] { const GrokFiles files(folder_ / "other"); }, ExitCode::Checkpoint,
                 {"other: no such folder"});
}

TEST_F(GrokFolder, RefusesGaps) {
    put("tensor00000_000");
    put("tensor00003_000");
    refused(
        {"4 tensors of 1 hosts have 4 files, but 2 are there", "missing: tensor00001_000, tensor00002_000"});
}

TEST_F(GrokFolder, RefusesAnIndexWithoutOneOfTheHosts) {
    for (const char* name : {"tensor00000_000", "tensor00000_001", "tensor00001_001"}) put(name);
    refused({"missing: tensor00001_000"});
    put("tensor00001_000");
    EXPECT_EQ(GrokFiles(folder_.path()).hosts(), 2);
    put("tensor00000_003");
    refused({"2 tensors of 4 hosts", "tensor00000_002, tensor00001_002, tensor00001_003"});
}

TEST_F(GrokFolder, NamesAFewOfMany) {
    put("tensor99999_999");
    refused({"100000 tensors of 1000 hosts", "missing: tensor00000_000, tensor00000_001",
             "tensor00000_004 and 99999994 more"});
}

TEST_F(GrokFolder, RefusesNamesOfUnfinishedFiles) {
    put("tensor00000_000");
    for (const char* name : {"tensor00000_000.part", "tensor0_000", "tensor00001-000", "tensor0000x_000",
                             "tensor00001_00x", "tensor000001_000", "tensor00001_-01", "tensor"}) {
        put(name);
        refused({name, "expected names like tensor00000_000", "finish the download"});
        std::filesystem::remove(folder_ / name);
    }
    EXPECT_EQ(GrokFiles(folder_.path()).count(), 1U);
}

TEST_F(GrokFolder, NamesTheFileThatIsBroken) {
    put("tensor00000_000");
    folder_.put("tensor00001_000", "");
    refused({(folder_ / "tensor00001_000").string(), "empty"});
    std::filesystem::remove(folder_ / "tensor00001_000");
    std::filesystem::create_directory(folder_ / "tensor00001_000");
    refused({"tensor00001_000", "not a regular file"});
}

// More than the machine's memory: opening maps and skips.
TEST_F(GrokFolder, OpensFilesOfAnySize) {
    constexpr std::int64_t kRows = 1 << 21, kColumns = 1 << 14, kSize = 4 * kRows * kColumns;  // 128 GiB
    auto array = pickled::array(pickled::f32(), {kRows, kColumns}, "");
    array.content = "\x8e" + std::string(reinterpret_cast<const char*>(&kSize), sizeof kSize);
    const std::string stream = pickled::whole(array.stream());
    const std::size_t begin = stream.find(array.content) + array.content.size();
    const auto path = folder_.put("tensor00000_000", stream.substr(0, begin));
    std::filesystem::resize_file(path, begin + static_cast<std::size_t>(kSize));  // a hole
    std::ofstream(path, std::ios::binary | std::ios::app) << stream.substr(begin);

    const GrokFiles files(folder_.path());
    EXPECT_THAT(files.tensor(0, 0).values.dims, ElementsAre(kRows, kColumns));
    EXPECT_EQ(files.tensor(0, 0).values.begin, begin);
    EXPECT_EQ(first_byte(files.file(0, 0)), std::byte{0});
}

}  // namespace
}  // namespace sluice
