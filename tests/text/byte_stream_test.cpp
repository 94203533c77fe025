#include "text/byte_stream.hpp"

#include "packed.hpp"
#include "support/scratch_folder.hpp"
#include "text/line_reader.hpp"
#include "text/posix_file.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <random>

namespace sluice {
namespace {

std::string read_all(ByteStream& bytes, std::size_t step = 1000) {
    std::string text;
    std::vector<char> buffer(step);
    while (const std::size_t count = bytes.read(buffer)) text.append(buffer.data(), count);
    return text;
}

std::string unpack(std::string_view packed, std::size_t step = 1000) {
    const ScratchFolder folder;
    const PosixFile file = open_to_read(folder.put("file", packed));
    return read_all(*unpacked_bytes_of(file.fd(), "file"), step);
}

std::string random_text(std::size_t size) {
    std::mt19937 random(5);
    std::string text;
    while (text.size() < size) text += "word " + std::to_string(random() % 10000) + "\n";
    return text;
}

// A frame that a decoder passes over: pzstd writes one in front.
const std::string kSkippable("\x5A\x2A\x4D\x18\x03\x00\x00\x00xyz", 11);

TEST(UnpackedBytes, AreThoseThatWerePacked) {
    const std::string text = random_text(1 << 20);
    const std::string run(1 << 20, 'a');
    for (const std::string& part : {std::string(), std::string("a"), std::string("\n\n"), text, run}) {
        EXPECT_TRUE(unpack(part) == part);
        EXPECT_TRUE(unpack(gzip(part)) == part);
        EXPECT_TRUE(unpack(zstd(part), 300000) == part);
        EXPECT_TRUE(unpack(kSkippable + zstd(part) + kSkippable) == part);
        EXPECT_TRUE(unpack(gzip(part) + gzip("") + gzip("end")) == part + "end");
        EXPECT_TRUE(unpack(zstd(part) + zstd("") + zstd("end"), 1) == part + "end");
    }
}

TEST(UnpackedBytes, AreTheBytesThemselvesWhereNothingIsPacked) {
    for (const std::string text :
         {"\x1F", "(", "\x28\xB5/", "\x28\xB5\x2F\xFE", "P*M", "\x1F\x8A text", "Z*Mx"})
        EXPECT_EQ(unpack(text), text);
}

TEST(UnpackedBytes, EndInAnErrorWhereverTheyAreCut) {
    for (const bool is_gzip : {true, false}) {
        const std::string whole =
            is_gzip ? gzip("some text, and more text") : zstd("some text, and more text");
        const std::size_t magic = is_gzip ? 2 : 4;
        for (std::size_t size = magic; size < whole.size(); ++size) {
            const auto cut = whole.substr(0, size);
            expect_error([&] { unpack(cut); }, ExitCode::File,
                         {"file", is_gzip ? "gzip" : "zstd", "cut short"});
            expect_error([&] { unpack(whole + cut); }, ExitCode::File, {"file", "cut short"});
        }
    }
}

TEST(UnpackedBytes, EndInAnErrorWhereTheyAreDamaged) {
    const std::string text = random_text(1000);
    for (std::string packed : {gzip(text), zstd(text)}) {
        packed[packed.size() / 2] ^= 0x10;
        expect_error([&] { unpack(packed); }, ExitCode::File, {"file", "damaged"});
    }
    expect_error([] { unpack(gzip("a") + "tail"); }, ExitCode::File, {"damaged", "incorrect header check"});
    expect_error([] { unpack(zstd("a") + "tail"); }, ExitCode::File, {"damaged", "Unknown frame descriptor"});
}

TEST(UnpackedBytes, OfGzipMayEndInZeros) {
    const std::string packed = gzip("one ") + gzip("two");
    for (const std::size_t size : {1U, 2U, 512U, 1000000U}) {
        const std::string zeros(size, '\0');
        EXPECT_EQ(unpack(packed + zeros), "one two");
        expect_error([&] { unpack(packed + zeros + "x"); }, ExitCode::File, {"damaged", "follows the zeros"});
        expect_error([&] { unpack(packed + zeros + gzip("a")); }, ExitCode::File, {"follows the zeros"});
    }
}

TEST(UnpackedBytes, ThatComeToNothingAreReadInSeveralCalls) {
    const ScratchFolder folder;
    const PosixFile file = open_to_read(folder.put("file", gzip("") + std::string(50U << 20, '\0')));
    const auto bytes = unpacked_bytes_of(file.fd(), "file");
    EXPECT_FALSE(bytes->ready(0));
    int calls = 1;
    while (calls < 100 && !bytes->ready(0)) ++calls;
    EXPECT_LT(calls, 100);
    EXPECT_EQ(read_all(*bytes), "");
}

TEST(UnpackedBytes, NeedNoMoreThanTheWindowOfTheZstdProgram) {
    EXPECT_EQ(unpack(zstd("a", 27)), "a");
    expect_error([] { unpack(zstd("a", 28)); }, ExitCode::File, {"file", "128 MiB", "--long=27"});
}

TEST(UnpackedBytes, OfABombTakeNoMemory) {
    std::string packed = gzip(std::string(16 << 20, 'a'));
    for (int doubling = 0; doubling < 4; ++doubling) packed += std::string(packed);  // 256 MiB of a
    const ScratchFolder folder;
    const PosixFile file = open_to_read(folder.put("bomb", packed));
    const auto peak_kib = [] {
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        return usage.ru_maxrss;
    };
    const long before = peak_kib();
    LineReader reader(unpacked_bytes_of(file.fd(), "bomb"), 1000);
    const auto line = reader.next();
    EXPECT_TRUE(line->too_long);
    EXPECT_EQ(reader.next(), std::nullopt);
    EXPECT_LT(peak_kib() - before, 16L << 10);
}

TEST(UnpackedBytes, AreReadyOnlyWhenThereAreSome) {
    for (const std::string& packed : {gzip("text"), zstd("text"), std::string("text")}) {
        std::array<int, 2> ends{};
        ASSERT_EQ(::pipe(ends.data()), 0);
        const PosixFile input(ends[0]);
        PosixFile output(ends[1]);
        const auto bytes = unpacked_bytes_of(input.fd(), "pipe");
        EXPECT_FALSE(bytes->ready(0));
        const std::size_t last = packed == "text" ? 0 : packed.size() - 8;
        for (std::size_t at = 0; at < last; ++at) {
            ASSERT_EQ(write_all(output.fd(), packed.substr(at, 1)), 0);
            const bool in_header = at < 4;
            ASSERT_FALSE(bytes->ready(0) && in_header) << at;
        }
        ASSERT_EQ(write_all(output.fd(), packed.substr(last)), 0);
        std::string text;
        std::array<char, 4> part{};
        while (text.size() < 4) {
            ASSERT_TRUE(bytes->ready(0));
            ASSERT_TRUE(bytes->ready(0));
            text.append(part.data(), bytes->read(part));
        }
        EXPECT_EQ(text, "text");
        EXPECT_FALSE(bytes->ready(1));
        output.close();
        EXPECT_TRUE(bytes->ready(0));
        EXPECT_EQ(bytes->read(part), 0U);
        EXPECT_EQ(bytes->read(part), 0U);
    }
}

TEST(UnpackedBytes, OfAPipeThatIsCutAreAnErrorOnlyAtItsEnd) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    const PosixFile input(ends[0]);
    PosixFile output(ends[1]);
    ASSERT_EQ(write_all(output.fd(), gzip("one\n") + gzip("two\n").substr(0, 12)), 0);
    LineReader reader(unpacked_bytes_of(input.fd(), "pipe"), 100);
    EXPECT_TRUE(reader.ready(0));
    EXPECT_EQ(reader.next()->text, "one");
    EXPECT_FALSE(reader.ready(0));
    output.close();
    expect_error([&] { reader.ready(0); }, ExitCode::File, {"pipe", "cut short"});
}

}  // namespace
}  // namespace sluice
