#include "text/line_reader.hpp"

#include "support/scratch_folder.hpp"
#include "text/posix_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <random>

namespace sluice {
namespace {

struct Seen {
    std::string text;
    std::int64_t number, begin;
    bool too_long, whole;
    bool operator==(const Seen&) const = default;
};

std::vector<Seen> read_lines(const std::filesystem::path& path, std::size_t max_bytes) {
    const PosixFile file = open_to_read(path);
    LineReader reader(file.fd(), path.string(), max_bytes);
    std::vector<Seen> lines;
    while (const auto line = reader.next())
        lines.push_back({std::string(line->text), line->number, line->begin, line->too_long, line->whole});
    return lines;
}

// The same, from the whole text at once.
std::vector<Seen> split(const std::string& text, std::size_t max_bytes) {
    std::vector<Seen> lines;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t newline = text.find('\n', at);
        const bool whole = newline != std::string::npos;
        std::string line = text.substr(at, whole ? newline - at : std::string::npos);
        const std::size_t next = at + line.size() + (whole ? 1 : 0);
        if (!line.empty() && line.back() == '\r') line.pop_back();
        const bool too_long = line.size() > max_bytes;
        lines.push_back({line.substr(0, max_bytes), static_cast<std::int64_t>(lines.size()) + 1,
                         static_cast<std::int64_t>(at), too_long, whole});
        at = next;
    }
    return lines;
}

TEST(LineReader, SplitsAnythingAtAnyLimit) {
    const ScratchFolder folder;
    std::mt19937 random(7);
    for (int round = 0; round < 300; ++round) {
        std::string text;
        for (auto size = random() % 60; size > 0; --size) text += "ab\r\n\n"[random() % 5];
        for (const std::size_t limit : {1U, 2U, 3U, 100U})
            ASSERT_EQ(read_lines(folder.put("x", text), limit), split(text, limit))
                << testing::PrintToString(text);
    }
}

TEST(LineReader, SplitsLinesThatCrossItsBuffers) {
    const ScratchFolder folder;
    std::mt19937 random(8);
    std::string text;
    while (text.size() < 6U << 20) {
        text += std::string(random() % 700000, static_cast<char>('a' + random() % 26));
        text += random() % 2 == 0 ? "\n" : "\r\n";
    }
    text += "the end";
    for (const std::size_t limit : {1000U, 300000U, 1U << 30})
        ASSERT_TRUE(read_lines(folder.put("x", text), limit) == split(text, limit)) << limit;
}

TEST(LineReader, IsReadyWhenALineIsWhole) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    const PosixFile input(ends[0]);
    PosixFile output(ends[1]);
    LineReader reader(input.fd(), "a pipe", 100);
    EXPECT_FALSE(reader.ready(0));
    ASSERT_EQ(write_all(output.fd(), "one\r\ntw"), 0);
    EXPECT_TRUE(reader.ready(0));
    EXPECT_EQ(reader.next()->text, "one");
    EXPECT_FALSE(reader.ready(0));
    EXPECT_FALSE(reader.ready(1));
    ASSERT_EQ(write_all(output.fd(), "o\nthree"), 0);
    EXPECT_TRUE(reader.ready(0));
    EXPECT_TRUE(reader.ready(0));
    const auto two = reader.next();
    EXPECT_EQ(two->text, "two");
    EXPECT_EQ(two->begin, 5);
    EXPECT_FALSE(reader.ready(0));
    output.close();
    EXPECT_TRUE(reader.ready(0));
    const auto three = reader.next();
    EXPECT_EQ(three->text, "three");
    EXPECT_EQ(three->begin, 9);
    EXPECT_FALSE(three->whole);
    EXPECT_TRUE(reader.ready(0));
    EXPECT_FALSE(reader.next());
}

TEST(LineReader, ReadsALongLineInSeveralCalls) {
    const ScratchFolder folder;
    const std::string line(50U << 20, 'a');
    const PosixFile file = open_to_read(folder.put("x", line + "\nb\n"));
    LineReader reader(file.fd(), "x", 100);
    EXPECT_FALSE(reader.ready(0));
    int calls = 1;
    while (calls < 100 && !reader.ready(0)) ++calls;
    EXPECT_LT(calls, 100);
    EXPECT_EQ(reader.next()->text, line.substr(0, 100));
    EXPECT_TRUE(reader.ready(0));
    EXPECT_EQ(reader.next()->begin, (50 << 20) + 1);
}

TEST(LineReader, SaysWhyReadingFailed) {
    const ScratchFolder folder;
    const PosixFile file = open_file(folder.path(), O_RDONLY);
    LineReader reader(file.fd(), "the folder", 10);
    expect_error([&] { reader.next(); }, ExitCode::File, {"the folder", "Is a directory"});
}

}  // namespace
}  // namespace sluice
