#include "checkpoint/grok_pickle.hpp"
#include "checkpoint/pickle_image.hpp"
#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

namespace pickled = test::pickled;
using namespace std::string_literals;

void refused_file(std::string_view file, std::initializer_list<std::string_view> parts) {
    expect_error([&] { parse_pickled_tensor(std::as_bytes(std::span(file)), "the file"); },
                 ExitCode::Checkpoint, parts);
}
void refused(const std::string& value, std::initializer_list<std::string_view> parts) {
    refused_file(pickled::whole(value), parts);
}
void refused(const pickled::Array& array, std::initializer_list<std::string_view> parts) {
    refused(array.stream(), parts);
}
void refused(const pickled::Weight& weight, std::initializer_list<std::string_view> parts) {
    refused(weight.stream(), parts);
}
void refused(const pickled::DType& dtype, std::initializer_list<std::string_view> parts) {
    refused(pickled::array(dtype, {1}, "abcd"), parts);
}

pickled::Array floats() { return pickled::array(pickled::f32(), {1}, "abcd"); }
pickled::Array bytes() { return pickled::array(pickled::i8(), {4}, "1234"); }

TEST(GrokPickleRefuses, WhatDoesNotStartAsAPickle) {
    refused_file("hello", {"byte 0", "0x68", "0x80"});
    refused_file("\x80", {"byte 0", "cut short"});
    refused_file("\x80\x05.", {"byte 0", "protocol 5"});
    refused_file("\x80\x04", {"byte 2", "cut short"});
}

TEST(GrokPickleRefuses, EveryUnlistedOpcode) {
    const std::string listed = "(.N\x88\x89JKM\x8c"s + "CB\x8e)\x85\x86\x87t}u\x93R\x81" + "b\x94qrhj\x95";
    for (int opcode = 0; opcode < 256; ++opcode) {
        const char byte = static_cast<char>(opcode);
        if (listed.find(byte) == std::string::npos) refused(std::string(1, byte), {"byte 2: opcode"});
    }
}

TEST(GrokPickleRefuses, GlobalsOfNoTensor) {
    for (const auto& [module, name] : {std::pair("numpy.core.multiarray", "ndarray"),
                                       {"numpy", "_reconstruct"},
                                       {"numpy", "load"},
                                       {"__main__", "bfloat16"},
                                       {"model", "Transformer"},
                                       {"numpy.core.numeric", "_frombuffer"},
                                       {"os", "system"},
                                       {"", ""}})
        refused(pickled::global(module, name), {"names", name, module, "nothing was executed"});
    refused(pickled::integer(1) + pickled::text("x") + "\x93", {"module is an integer; expected a string"});
    refused(pickled::text("x") + pickled::kNone + "\x93", {"name is None; expected a string"});
    // What a message quotes is escaped and cut.
    refused(pickled::global("a\x1b[31m\n", std::string(200, 'y')), {R"(\x1b[31m\n")", "yyy\"..."});
}

TEST(GrokPickleRefuses, BytesBeyondTheFile) {
    refused_file(
        "\x80\x04"
        "C\x09"
        "12345678",
        {"byte 2: 9 bytes should follow", "8 more", "cut short"});
    refused_file(
        "\x80\x04"
        "B\xff\xff\xff\xff",
        {"4294967295 bytes"});
    refused_file("\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff", {"18446744073709551615 bytes", "0 more"});
    refused_file("\x80\x04\x8c\x05num", {"5 bytes should follow"});
}

TEST(GrokPickleRefuses, FramesThatDoNotFit) {
    const std::string start = "\x80\x04", length(7, '\0');
    refused_file(start + "\x95\xff\xff\xff\xff\xff\xff\xff\xff",
                 {"a frame of 18446744073709551615 bytes", "0 more"});
    refused_file(start + "\x95\x0b" + length + "\x95\x01" + length + "N.", {"a frame begins within a frame"});
    refused_file(start + "\x95\x02" + length + "J1234.",
                 {"4 bytes should follow, but the frame ends after 1"});
}

TEST(GrokPickleRefuses, AStackThatDoesNotHoldWhatIsTaken) {
    for (const std::string& opcode :
         {"\x85"s, "\x86"s, "\x87"s, "\x93"s, "R"s, "\x81"s, "b"s, "\x94"s, "q\1"s})
        refused(opcode, {"byte 2: takes a value from the empty stack"});
    refused("", {"takes a value from the empty stack"});
    refused("N\x86", {"empty stack"});
    for (const std::string& opcode : {"\x85"s, "\x94"s, "b"s}) refused("(" + opcode, {"finds a mark"});
    refused("Nt", {"no mark on the stack"});
    refused("Nu", {"no mark on the stack"});
    refused("(u", {"empty stack"});
    refused("N" + floats().stream(), {"2 values on the stack; expected one"});
    refused("(" + floats().stream(), {"2 values on the stack"});
}

TEST(GrokPickleRefuses, MemoSlotsNeverWritten) {
    refused("h"s + '\0', {"memo slot 0 was never written"});
    refused("N\x94j\1\0\0\0"s, {"memo slot 1 was never written"});
    refused("Nr\xff\xff\xff\xffj\xfe\xff\xff\xff", {"memo slot 4294967294"});
}

// Neither marks, memo slots, tuples nor objects can fill the memory, and nesting ends in no deep recursion.
TEST(GrokPickleRefuses, MoreOpcodesThanATensorTakes) {
    constexpr std::size_t kMany = 1'000'000;
    refused(std::string(kMany, '('), {"more than 1000 opcodes"});
    refused(std::string(kMany, '}'), {"more than 1000 opcodes"});
    refused("N" + std::string(kMany, '\x85'), {"more than 1000 opcodes"});
    refused("N" + std::string(kMany, '\x94'), {"more than 1000 opcodes"});
    refused("N" + std::string(900, '\x85'), {"what was pickled is a tuple"});
    std::string empty_frames;
    for (int i = 0; i < 1000; ++i) empty_frames += "\x95" + std::string(8, '\0');
    refused(empty_frames + floats().stream(), {"more than 1000 opcodes"});
}

TEST(GrokPickleRefuses, ResultsThatAreNoTensor) {
    refused("N", {"what was pickled is None; expected an array"});
    refused("(N", {"2 values"});
    refused(pickled::f32().stream(), {"is a dtype"});
    refused("}", {"is a dictionary"});
    refused(pickled::bytes("abcd"), {"is bytes"});
    refused(pickled::weight_class(), {"is a class"});
    refused(floats().object(), {"an array without content"});
    refused(pickled::Weight().object(), {"a quantised weight without content"});
    refused(bytes(), {"int8 without scales"});
}

TEST(GrokPickleRefuses, BytesAfterTheEnd) {
    refused_file(pickled::whole(floats().stream()) + ".",
                 {"the pickle ends here, but 1 bytes follow", "damaged"});
}

TEST(GrokPickleRefuses, CallsOfAnythingElse) {
    const std::string none = ")";
    refused(pickled::weight_class() + none + "R", {"calls a class that only names a type"});
    refused(pickled::global("numpy", "ndarray") + none + "R", {"calls a class that only names a type"});
    refused(pickled::text("eval") + none + "R", {"what is called is a string; expected a class"});
    refused(pickled::global("numpy", "dtype") + "NR", {"dtype's arguments is None; expected a tuple"});
    refused(pickled::global("numpy", "ndarray") + none + "\x81", {"a class other than QuantizedWeight8bit"});
    refused("N" + none + "\x81", {"the new object's class is None"});
    refused(pickled::weight_class() + pickled::tuple({"N"}) + "\x81", {"arguments has 1 items; expected 0"});
}

TEST(GrokPickleRefuses, OddEmptyArrays) {
    const std::string_view reason = "_reconstruct is called otherwise";
    auto array = floats();
    array.type = pickled::bfloat16_class();
    refused(array, {reason});
    array = floats();
    array.size = pickled::tuple({pickled::integer(1)});
    refused(array, {reason});
    array.size = pickled::tuple({});
    refused(array, {"shape has 0 items; expected 1"});
    array = floats();
    array.code = pickled::bytes("B");
    refused(array, {reason});
    array.code = pickled::text("b");
    refused(array, {"type is a string; expected bytes"});
}

TEST(GrokPickleRefuses, StatesOfWhatHasNone) {
    refused(pickled::global("numpy", "ndarray") + "}b", {"sets the state of a class, which has none"});
    for (const std::string& value : {"N"s, ")"s, "}"s, pickled::text("x"), pickled::bytes("x")})
        refused(value + "}b", {"sets the state of", "which has none"});
}

TEST(GrokPickleRefuses, StatesSetTwice) {
    const auto array = floats();
    refused(array.stream() + array.state() + "b", {"an array's state is set twice"});
    const auto dtype = pickled::f32();
    refused(dtype.stream() + dtype.state() + "b", {"a dtype's state is set twice"});
    const auto weight = pickled::weight(bytes(), floats());
    refused(weight.stream() + weight.state() + "b", {"a quantised weight's state is set twice"});
}

TEST(GrokPickleRefuses, OddTypes) {
    for (const char* type : {"f8", "f2", "i4", "u1", "O8", "V2", "", "f4x", "<f4"}) {
        auto dtype = pickled::f32();
        dtype.type = pickled::text(type);
        refused(dtype, {"elements of type \""s + type + "\""});
    }
    auto dtype = pickled::f32();
    dtype.type = pickled::weight_class();
    refused(dtype, {"dtype of a class other than ml_dtypes.bfloat16"});
    dtype.type = pickled::integer(4);
    refused(dtype, {"dtype's type is an integer"});
    dtype = pickled::f32();
    dtype.align = pickled::kNone;
    refused(dtype, {"dtype's align is None"});
    dtype = pickled::f32();
    dtype.copy = pickled::integer(1);
    refused(dtype, {"dtype's copy is an integer"});
}

TEST(GrokPickleRefuses, OddStatesOfTypes) {
    auto dtype = pickled::f32();
    dtype.version = pickled::integer(4);
    refused(dtype, {"version 4; expected 3"});
    dtype = pickled::f32();
    dtype.order = pickled::text("|");
    refused(dtype, {"byte order \"|\" of float32; expected '<'"});
    dtype = pickled::i8();
    dtype.order = pickled::text("<");
    refused(dtype, {"byte order \"<\" of int8; expected '|'"});
    dtype = pickled::bf16();
    dtype.order = pickled::text(">");
    refused(dtype, {"big-endian"});
    dtype = pickled::f32();
    dtype.fields = "}";
    refused(dtype, {"fields is a dictionary; expected None"});
    for (const auto& [type, size] :
         {std::pair(pickled::f32(), 8), {pickled::i8(), 2}, {pickled::bf16(), 4}}) {
        dtype = type;
        dtype.size = pickled::integer(size);
        refused(dtype, {"with " + std::to_string(size) + " bytes an element"});
    }
    dtype = pickled::f32();
    dtype.flags = pickled::kNone;
    refused(dtype, {"a dtype's flags is None"});
    refused(pickled::f32().object() + pickled::tuple({"N", "N"}) + "b", {"state has 2 items; expected 8"});
}

TEST(GrokPickleRefuses, OddStatesOfArrays) {
    auto array = floats();
    array.version = pickled::integer(2);
    refused(array, {"version 2; expected 1"});
    array = floats();
    array.dtype = pickled::f32().object();
    refused(array, {"dtype has no state yet"});
    array.dtype = pickled::text("f4");
    refused(array, {"an array's type is a string; expected a dtype"});
    array = floats();
    array.fortran = pickled::kTrue;
    refused(array, {"Fortran (column-major) order"});
    array.fortran = pickled::integer(0);
    refused(array, {"Fortran order is an integer"});
    array = floats();
    array.content = pickled::text("abcd");
    refused(array, {"content is a string; expected bytes"});
    refused(floats().object() + "}b", {"an array's state is a dictionary"});
    refused(floats().object() + pickled::tuple({"N"}) + "b", {"state has 1 items; expected 5"});
}

TEST(GrokPickleRefuses, ShapesThatAreNone) {
    const auto shaped = [](const std::vector<std::int32_t>& dims) {
        auto array = floats();
        array.shape = pickled::shape(dims);
        return array;
    };
    refused(shaped({}), {"0 dimensions; expected 1 to 4"});
    refused(shaped({1, 1, 1, 1, 1}), {"5 dimensions"});
    refused(shaped({0}), {"a dimension of 0"});
    refused(shaped({-1, -1}), {"a dimension of -1"});
    refused(shaped({2}), {"4 bytes stored, but float32 [2] needs 8"});
    // 2^64 + 4 bytes: a product that wraps would fit the content.
    refused(shaped({1073741824, 1073741824, 4}), {"64 bits"});
    refused(shaped({2147483647, 2147483647, 2147483647, 2147483647}), {"64 bits"});
    auto array = floats();
    array.shape = pickled::integer(1);
    refused(array, {"shape is an integer; expected a tuple"});
    array.shape = pickled::tuple({pickled::kTrue});
    refused(array, {"a dimension is a bool; expected an integer"});
    array.shape =
        "K\1\x94"
        "0"s;
}

TEST(GrokPickleRefuses, ContentOfAnotherSize) {
    refused(pickled::array(pickled::f32(), {1}, "abc"), {"3 bytes stored, but float32 [1] needs 4"});
    refused(pickled::array(pickled::f32(), {1}, "abcde"), {"5 bytes stored"});
    refused(pickled::array(pickled::bf16(), {2, 2}, "abcd"), {"bfloat16 [2, 2] needs 8"});
    refused(pickled::array(pickled::f32(), {1}, ""), {"0 bytes stored"});
}

TEST(GrokPickleRefuses, OddStatesOfWeights) {
    pickled::Weight weight;
    const std::string values = pickled::text("weight") + bytes().stream();
    const std::string scales = pickled::text("scales") + floats().stream();
    weight.items = values;
    refused(weight, {"without 'scales'"});
    weight.items = scales;
    refused(weight, {"without 'weight'"});
    weight.items = values + scales + scales;
    refused(weight, {"'scales' stands twice"});
    weight.items = values + scales + pickled::text("zeros") + floats().stream();
    refused(weight, {"no \"zeros\""});
    weight.items = values + pickled::text("scales");
    refused(weight, {"3 keys and values, not in pairs"});
    weight.items = "N" + floats().stream();
    refused(weight, {"a key is None"});
    weight.items = values + pickled::text("scales") + "N";
    refused(weight, {"scales is None; expected an array"});
    weight.items = values + pickled::text("scales") + floats().object();
    refused(weight, {"'scales' is an array without content"});
    refused(pickled::Weight().object() + ")b", {"a quantised weight's state is a tuple"});
    refused("N(" + values + "u", {"what items are set in is None; expected a dictionary"});
}

TEST(GrokPickleRefuses, WeightsAndScalesThatDoNotGoTogether) {
    refused(pickled::weight(floats(), floats()), {"a quantised weight of float32; expected int8"});
    refused(pickled::weight(bytes(), bytes()), {"scales of int8"});
    const auto values = pickled::array(pickled::i8(), {4, 2}, "12345678");
    const auto scales = [](const std::vector<std::int32_t>& dims, std::size_t count) {
        return pickled::array(pickled::f32(), dims, std::string(4 * count, 's'));
    };
    refused(pickled::weight(values, scales({3, 2}, 6)), {"scales [3, 2] do not divide the weight [4, 2]"});
    refused(pickled::weight(values, scales({8, 2}, 16)), {"do not divide"});
    refused(pickled::weight(values, scales({2}, 2)), {"do not divide"});
    refused(pickled::weight(values, scales({1, 1, 1}, 1)), {"do not divide"});
}

}  // namespace
}  // namespace sluice
