#include "core/json.hpp"

#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace sluice {
namespace {

std::string repeated(const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
}

Json parse(const std::string& text) { return parse_json(text, "settings.json", ExitCode::Checkpoint); }

TEST(ParseJson, ReadsValues) {
    const Json json = parse(R"({"a": [1, 2.5, "x\"}y", null], "b": {"c": true}})");
    EXPECT_EQ(json["a"][0], 1);
    EXPECT_EQ(json["a"][1], 2.5);
    EXPECT_EQ(json["a"][2], "x\"}y");
    EXPECT_TRUE(json["a"][3].is_null());
    EXPECT_EQ(json["b"]["c"], true);
}

TEST(ParseJson, NestsTwoHundredDeepAndNoDeeper) {
    EXPECT_NO_THROW(parse(repeated("[", 200) + repeated("]", 200)));
    EXPECT_NO_THROW(parse(repeated("{\"a\":", 200) + "1" + repeated("}", 200)));
    for (const int depth : {201, 100000, 5000000}) {
        expect_error([&] { parse(repeated("[", depth) + repeated("]", depth)); }, ExitCode::Checkpoint,
                     {"settings.json", "deeper than 200"});
        expect_error([&] { parse(repeated("[", depth)); }, ExitCode::Checkpoint, {"deeper than 200"});
    }
    expect_error([&] { parse(repeated("[{\"a\":", 101) + "1" + repeated("}]", 101)); }, ExitCode::Checkpoint,
                 {"deeper than 200"});
}

TEST(ParseJson, CountsDepthNotBrackets) {
    EXPECT_NO_THROW(parse("[" + repeated("[],", 1000) + "[]]"));
    EXPECT_NO_THROW(parse("[\"" + repeated("[", 1000) + "\"]")) << "brackets in a string";
    EXPECT_NO_THROW(parse("[\"\\\"" + repeated("{", 1000) + "\\\\\"]")) << "and escaped quotes";
    expect_error([&] { parse("[\"\\\\\"," + repeated("[", 200) + repeated("]", 201)); }, ExitCode::Checkpoint,
                 {"deeper than 200"});
}

TEST(ParseJson, NamesThePlaceOfWhatIsWrong) {
    expect_error([] { parse("{\n  \"a\": 1,\n  oops\n}"); }, ExitCode::Checkpoint,
                 {"settings.json", "not valid JSON", "line 3"});
    expect_error([] { parse_json("[1, 2", "prompts.jsonl:7", ExitCode::File); }, ExitCode::File,
                 {"prompts.jsonl:7", "not valid JSON", "line 1, column 6"});
}

TEST(ParseJson, IsStrict) {
    for (const char* text :
         {"",          " ",           "{",        "}",       "[1,]",        "{\"a\":1,}", "[1] 2",
          "// why\n1", "/* why */ 1", "{'a': 1}", "{a: 1}",  "NaN",         "[Infinity]", "01",
          "1.",        "+1",          "\"a\nb\"", "\"\\x\"", "\"\\ud800\"", "\"\xff\"",   "tru",
          "1e999"}) {
        expect_error([&] { parse(text); }, ExitCode::Checkpoint, {"settings.json", "not valid JSON"});
    }
}

TEST(ReadFile, GivesTheBytes) {
    const ScratchFolder folder;
    const std::string bytes("a\0b\r\n\xff", 6);
    EXPECT_EQ(read_file(folder.put("some", bytes), ExitCode::File), bytes);
    EXPECT_EQ(read_file(folder.put("none", ""), ExitCode::File), "");
}

TEST(ReadFile, NamesThePathAndTheReason) {
    const ScratchFolder folder;
    expect_error([&] { read_file(folder / "missing.json", ExitCode::Checkpoint); }, ExitCode::Checkpoint,
                 {(folder / "missing.json").string(), "No such file or directory"});
    expect_error([&] { read_file(folder.path(), ExitCode::File); }, ExitCode::File,
                 {folder.path().string(), "Is a directory"});
    const std::filesystem::path file = folder.put("file", "text");
    expect_error([&] { read_file(file / "inside", ExitCode::File); }, ExitCode::File,
                 {(file / "inside").string(), "Not a directory"});
}

TEST(ReadFile, RefusesPathsThatLeadNowhere) {
    const ScratchFolder folder;
    std::filesystem::create_symlink("loop", folder / "loop");
    expect_error([&] { read_file(folder / "loop", ExitCode::File); }, ExitCode::File,
                 {(folder / "loop").string()});
    expect_error([&] { read_file(folder / std::string(300, 'a'), ExitCode::File); }, ExitCode::File,
                 {"File name too long"});
}

}  // namespace
}  // namespace sluice
