#include "checkpoint/grok_pickle.hpp"

#include "checkpoint/pickle_image.hpp"
#include "support/scratch_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <cstring>
#include <map>

namespace sluice {
namespace {

namespace pickled = test::pickled;
using testing::ElementsAre;

std::filesystem::path data_folder() { return SLUICE_TEST_DATA; }

PickledTensor parse(std::string_view file) {
    return parse_pickled_tensor(std::as_bytes(std::span(file)), "the file");
}

std::string_view content_in(std::string_view file, const PickledArray& array) {
    return file.substr(array.begin, array.end - array.begin);
}

void expect_same(const PickledArray& a, const PickledArray& b) {
    EXPECT_EQ(a.dtype, b.dtype);
    EXPECT_EQ(a.dims, b.dims);
    EXPECT_EQ(a.begin, b.begin);
    EXPECT_EQ(a.end, b.end);
}

TEST(GrokPickle, ReadsArrays) {
    const std::string file = pickled::whole(pickled::array(pickled::f32(), {1, 2}, "ABCDEFGH").stream());
    const PickledTensor tensor = parse(file);
    EXPECT_EQ(tensor.values.dtype, DType::F32);
    EXPECT_EQ(tensor.values.shape_text(), "[1, 2]");
    EXPECT_EQ(content_in(file, tensor.values), "ABCDEFGH");
    EXPECT_FALSE(tensor.scales);

    const std::string halves =
        pickled::whole(pickled::array(pickled::bf16(), {3, 1, 1, 1}, "abcdef").stream());
    EXPECT_EQ(parse(halves).values.dtype, DType::BF16);
    EXPECT_THAT(parse(halves).values.dims, ElementsAre(3, 1, 1, 1));
}

TEST(GrokPickle, ReadsQuantisedWeights) {
    const auto values = pickled::array(pickled::i8(), {4, 2}, "12345678");
    for (const auto& scales : {pickled::array(pickled::bf16(), {2, 2}, "abcdefgh"),
                               pickled::array(pickled::f32(), {1, 2}, "abcdefgh")}) {
        const std::string file = pickled::whole(pickled::weight(values, scales).stream());
        const PickledTensor tensor = parse(file);
        EXPECT_EQ(tensor.values.dtype, DType::I8);
        EXPECT_THAT(tensor.values.dims, ElementsAre(4, 2));
        EXPECT_EQ(content_in(file, tensor.values), "12345678");
        ASSERT_TRUE(tensor.scales);
        EXPECT_EQ(content_in(file, *tensor.scales), "abcdefgh");
    }
}

TEST(GrokPickle, ReadsTheKeysInEitherOrderAndInTwoGoes) {
    const std::string values = pickled::array(pickled::i8(), {4}, "1234").stream();
    const std::string scales = pickled::array(pickled::f32(), {1}, "abcd").stream();
    pickled::Weight weight;
    weight.items = pickled::text("scales") + scales + "u(" + pickled::text("weight") + values;
    const std::string file = pickled::whole(weight.stream());
    EXPECT_EQ(content_in(file, parse(file).values), "1234");
    EXPECT_EQ(content_in(file, *parse(file).scales), "abcd");
}

TEST(GrokPickle, ReadsWhatOtherProgramsPickled) {
    auto numpy2 = pickled::array(pickled::f32(), {1}, "abcd");
    numpy2.function = pickled::global("numpy._core.multiarray", "_reconstruct");
    EXPECT_THAT(parse(pickled::whole(numpy2.stream())).values.dims, ElementsAre(1));

    auto weight = pickled::weight(pickled::array(pickled::i8(), {1}, "1"), numpy2);
    weight.type = pickled::global("model", "QuantizedWeight8bit");
    EXPECT_TRUE(parse(pickled::whole(weight.stream())).scales);
}

// The same bytes behind each way to give their length, and the dimension in each integer opcode.
TEST(GrokPickle, ReadsEveryEncodingOfLengthsAndIntegers) {
    using namespace std::string_literals;
    auto array = pickled::array(pickled::f32(), {2}, "");
    for (const std::string& length : {"C\x08"s, "B\x08\0\0\0"s, "\x8e\x08\0\0\0\0\0\0\0"s}) {
        for (const std::string& shape : {"K\x02\x85"s, "M\x02\0\x85"s, "J\x02\0\0\0\x85"s, "(K\x02t"s}) {
            array.content = length + "ABCDEFGH";
            array.shape = shape;
            const std::string file = pickled::whole(array.stream());
            EXPECT_EQ(content_in(file, parse(file).values), "ABCDEFGH");
        }
    }
    array.shape = "M\x01\x80\x85"s;  // 32769: unsigned, and the low byte first
    array.content = pickled::bytes(std::string(131076, 'x'));
    EXPECT_THAT(parse(pickled::whole(array.stream())).values.dims, ElementsAre(32769));
}

TEST(GrokPickle, ReadsTheMemoOfEitherWriter) {
    using namespace std::string_literals;
    // Slots by position, by one byte and by four; read by one byte and by four.
    for (const auto& [put, get] :
         {std::pair("\x94"s, "h\0"s), {"q\x05"s, "h\x05"s}, {"r\0\x01\0\0"s, "j\0\x01\0\0"s}}) {
        auto scales = pickled::array(pickled::f32(), {1}, "abcd");
        auto values = pickled::array(pickled::i8(), {1}, "1");
        values.type += put;
        scales.type = get;
        const std::string file = pickled::whole(pickled::weight(values, scales).stream());
        EXPECT_EQ(content_in(file, *parse(file).scales), "abcd");
    }
}

TEST(GrokPickle, ReadsFrames) {
    const std::string array = pickled::array(pickled::f32(), {1}, "abcd").stream();
    const auto framed = [](std::string_view part) {
        return std::string("\x95") + static_cast<char>(part.size()) + std::string(7, '\0') +
               std::string(part);
    };
    const std::size_t cut = pickled::array(pickled::f32(), {1}, "").object().size();  // between two opcodes
    const std::string start = array.substr(0, cut), rest = array.substr(cut) + ".";
    const std::string intro = "\x80\x04";
    EXPECT_THAT(parse(intro + framed(start) + framed(rest)).values.dims, ElementsAre(1));
    EXPECT_THAT(parse(intro + framed(start) + rest).values.dims, ElementsAre(1));
    EXPECT_THAT(parse(intro + framed("") + start + framed(rest)).values.dims, ElementsAre(1));
}

void expect_array(const nlohmann::json& expected, const PickledArray& array) {
    const std::map<std::string, DType> types{
        {"float32", DType::F32}, {"bfloat16", DType::BF16}, {"int8", DType::I8}};
    EXPECT_EQ(array.dtype, types.at(expected.at("dtype")));
    EXPECT_EQ(array.dims, expected.at("shape").get<std::vector<std::int64_t>>());
}

class GrokPickleModels : public testing::TestWithParam<const char*> {};

TEST_P(GrokPickleModels, ReadsEveryFileAsItsManifestSays) {
    const std::filesystem::path folder = data_folder() / "models" / GetParam();
    const auto manifest = nlohmann::json::parse(content_of(folder / "manifest.json"));
    ASSERT_FALSE(manifest.empty());
    for (const auto& entry : manifest) {
        SCOPED_TRACE(entry.at("file"));
        const std::string file = content_of(folder / "ckpt-0" / entry.at("file").get<std::string>());
        ASSERT_EQ(file.size(), entry.at("bytes"));
        const PickledTensor tensor = parse(file);
        const bool quantised = entry.at("kind") == "QuantizedWeight8bit";
        expect_array(quantised ? entry.at("weight") : entry, tensor.values);
        ASSERT_EQ(tensor.scales.has_value(), quantised);
        if (!quantised) continue;
        expect_array(entry.at("scales"), *tensor.scales);
        EXPECT_LT(tensor.values.end, tensor.scales->begin);
    }
}

INSTANTIATE_TEST_SUITE_P(Tiny, GrokPickleModels, testing::Values("grok-tiny", "grok-order12"),
                         [](const auto& test) {
                             std::string name = test.param;
                             std::erase(name, '-');
                             return name;
                         });

class GrokPickleDamage : public testing::TestWithParam<const char*> {
protected:
    // 32 floats; 32 x 32 weights with 1 x 32 scales.
    std::string file_ = content_of(data_folder() / "models/grok-order12/ckpt-0" / GetParam());
};

TEST_P(GrokPickleDamage, RefusesEveryCut) {
    for (std::size_t size = 0; size < file_.size(); ++size) {
        SCOPED_TRACE(size);
        expect_error([&] { parse(std::string_view(file_).substr(0, size)); }, ExitCode::Checkpoint,
                     {"the file"});
    }
}

// A changed byte outside the elements is found, or was of no account: never another tensor.
TEST_P(GrokPickleDamage, NeverReadsAnotherTensorOutOfAChangedByte) {
    const PickledTensor whole = parse(file_);
    int refused = 0;
    for (std::size_t at = 0; at < file_.size(); ++at) {
        if (at >= whole.values.begin && at < whole.values.end) continue;
        if (whole.scales && at >= whole.scales->begin && at < whole.scales->end) continue;
        const char right = file_[at];
        for (int wrong = 0; wrong < 256; ++wrong) {
            file_[at] = static_cast<char>(wrong);
            try {
                const PickledTensor tensor = parse(file_);
                expect_same(tensor.values, whole.values);
                ASSERT_EQ(tensor.scales.has_value(), whole.scales.has_value());
                if (whole.scales) expect_same(*tensor.scales, *whole.scales);
                ASSERT_FALSE(HasFailure()) << "byte " << at << " as " << wrong;
            } catch (const Error& error) {
                ASSERT_EQ(error.code(), ExitCode::Checkpoint);
                ++refused;
            }
        }
        file_[at] = right;
    }
    EXPECT_GT(refused, 10'000);
}

INSTANTIATE_TEST_SUITE_P(Tiny, GrokPickleDamage, testing::Values("tensor00001_000", "tensor00005_000"),
                         [](const auto& test) { return std::string(test.param); });

// Between the opcodes lie pages that nobody may read.
TEST(GrokPickle, DoesNotTouchTheElements) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::string elements(4 * page, 'x');
    const std::string file = pickled::whole(
        pickled::weight(pickled::array(pickled::i8(), {4, static_cast<std::int32_t>(page)}, elements),
                        pickled::array(pickled::f32(), {1, 1}, "abcd"))
            .stream());
    const PickledTensor expected = parse(file);
    const std::size_t tail = file.size() - expected.values.end;
    ASSERT_LT(std::max(expected.values.begin, tail), page);

    void* const map = ::mmap(nullptr, 6 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(map, MAP_FAILED);
    auto* const memory = static_cast<std::byte*>(map);
    std::byte* const start = memory + page - expected.values.begin;
    std::memcpy(start, file.data(), expected.values.begin);
    std::memcpy(memory + 5 * page, file.data() + expected.values.end, tail);
    ASSERT_EQ(::mprotect(memory + page, 4 * page, PROT_NONE), 0);
    const PickledTensor tensor = parse_pickled_tensor({start, file.size()}, "the file");
    expect_same(tensor.values, expected.values);
    expect_same(*tensor.scales, *expected.scales);
    ::munmap(map, 6 * page);
}

}  // namespace
}  // namespace sluice
