#include "checkpoint/grok_pickle.hpp"
#include "support/scratch_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <map>

namespace sluice {
namespace {

using testing::ElementsAre;

std::filesystem::path broken_files() { return std::filesystem::path(SLUICE_TEST_DATA) / "grok-broken"; }

PickledTensor parse(const std::string& name) {
    const std::string file = content_of(broken_files() / name);
    return parse_pickled_tensor(std::as_bytes(std::span(file)), name);
}

// Why each broken file is refused here. Without a reason: sound as a pickle, so that only those who know the
// model's shapes or look at the values can refuse it.
const std::map<std::string, std::string> kReasons{
    {"01_os_system_reduce", R"(names "system" of "posix", which no tensor of the release needs)"},
    {"02_truncated", "a frame of 12700 bytes, but the file has 7615 more: it is cut short"},
    {"03_unknown_global", R"(names "QuantizedWeight4bit" of "__main__")"},
    {"04_absurd_shape", "shape [2147483647, 2147483647, 8] has more bytes than 64 bits count"},
    {"05_memo_bomb", "ends with 65 values on the stack; expected one"},
    {"06_wrong_dtype", "elements of type \"f8\""},
    {"07_huge_length", "4611686018427387904 bytes should follow"},
    {"08_payload_size_mismatch", "6140 bytes stored, but float32 [192, 8] needs 6144"},
    {"09_wrong_shape", ""},
    {"10_negative_dim", "a dimension of -192"},
    {"11_big_endian", "big-endian"},
    {"12_object_dtype", "elements of type \"O8\""},
    {"13_fortran_order", "Fortran"},
    {"14_scales_do_not_divide", "scales [7, 64] do not divide the weight [192, 64]"},
    {"15_scales_missing", "without 'scales'"},
    {"16_undefined_memo", "memo slot 7 was never written"},
    {"17_stack_underflow", "byte 2: takes a value from the empty stack"},
    {"18_no_stop", "a frame of 6285 bytes, but the file has 6284 more: it is cut short"},
    {"19_deep_marks", "more than 1000 opcodes"},
    {"20_empty", "the file is empty"},
    {"21_not_a_pickle", "git-LFS pointer"},
    {"22_trailing_bytes", "32 bytes follow"},
    {"23_proto2_ok", "pickle protocol 2"},
    {"24_eval_global", R"(names "eval" of "builtins")"},
    {"25_setstate_on_global", "\"__class__\""},
    {"26_nan_scales", ""},
};

TEST(GrokPickleBroken, EveryFileIsRefusedForItsReason) {
    const auto expected = nlohmann::json::parse(content_of(broken_files() / "expected.json"));
    EXPECT_EQ(expected.size(), kReasons.size());
    for (const auto& item : expected.items()) {
        const std::string& name = item.key();
        SCOPED_TRACE(name);
        ASSERT_EQ(std::filesystem::file_size(broken_files() / name), item.value().at("bytes"));
        const std::string& reason = kReasons.at(name);
        // Only these may be left to another layer.
        EXPECT_EQ(reason.empty(), name == "09_wrong_shape" || name == "26_nan_scales");
        if (reason.empty()) {
            EXPECT_NO_THROW(parse(name));
        } else {
            expect_error([&] { parse(name); }, ExitCode::Checkpoint, {name, reason});
        }
    }
}

TEST(GrokPickleBroken, WhatOnlyTheModelCanRefuseIsReadAsItStands) {
    const PickledTensor transposed = parse("09_wrong_shape");
    EXPECT_EQ(transposed.values.dtype, DType::F32);
    EXPECT_THAT(transposed.values.dims, ElementsAre(8, 192));
    const PickledTensor nan = parse("26_nan_scales");
    EXPECT_THAT(nan.values.dims, ElementsAre(192, 64));
    ASSERT_TRUE(nan.scales);
    EXPECT_THAT(nan.scales->dims, ElementsAre(1, 64));
}

}  // namespace
}  // namespace sluice
