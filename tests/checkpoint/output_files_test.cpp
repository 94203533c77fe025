// Files of a target, written and read at their extents.
#include "checkpoint/output_files.hpp"
#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

class OutputFilesTest : public testing::Test {
protected:
    ScratchFolder folder_;
};

TEST_F(OutputFilesTest, ReadAndWriteWithinExtents) {
    folder_.put("a", "0123456789");
    folder_.put("b", "abcdefghij");
    const OutputFiles files(folder_.path(), {"a", "b"});
    const Extent extent{1, 3, 5};
    files.write(extent, 0, bytes_of("DE"));
    files.write(extent, 4, bytes_of("H"));
    files.write(extent, 5, {});
    std::string read(3, ' ');
    files.read(extent, 2, std::as_writable_bytes(std::span(read)));
    EXPECT_EQ(read, "fgH");
    files.sync();
    EXPECT_EQ(content_of(folder_ / "a"), "0123456789");
    EXPECT_EQ(content_of(folder_ / "b"), "abcDEfgHij");
    expect_error([&] { files.write(extent, 4, bytes_of("HI")); }, ExitCode::Internal,
                 {"b", "bytes 4 to 6 of 5"});
    expect_error([&] { files.write(extent, 6, {}); }, ExitCode::Internal, {"b", "bytes 6 to 6 of 5"});
    expect_error([&] { files.read(extent, 3, std::as_writable_bytes(std::span(read))); }, ExitCode::Internal,
                 {"b", "bytes 3 to 6 of 5"});
    EXPECT_EQ(content_of(folder_ / "b"), "abcDEfgHij");
}

TEST_F(OutputFilesTest, FailuresTellFileAndReason) {
    folder_.put("a", "0123456789");
    const OutputFiles files(folder_.path(), {"a"});
    std::string read(3, ' ');
    expect_error(
        [&] {
            files.read({0, 9, 3}, 0, std::as_writable_bytes(std::span(read)));
        },
        ExitCode::File, {"cannot read", "a", "ends at byte 10"});
    expect_error([&] { OutputFiles(folder_.path(), {"no"}); }, ExitCode::File, {"no", "No such file"});
    const OutputFiles full("/dev", {"full"});
    expect_error(
        [&] {
            full.write({0, 0, 3}, 0, bytes_of("abc"));
        },
        ExitCode::File, {"cannot write", "/dev/full", "No space left"});
}

TEST_F(OutputFilesTest, ManyAreOpenAtOnce) {
    std::vector<std::string> names;
    for (int i = 0; i < 163; ++i) names.push_back(folder_.put(std::to_string(i), "x").filename().string());
    const OutputFiles files(folder_.path(), names);
    for (int i = 0; i < 163; ++i) files.write({i, 0, 1}, 0, bytes_of("y"));
    EXPECT_EQ(content_of(folder_ / "162"), "y");
}

}  // namespace
}  // namespace sluice
