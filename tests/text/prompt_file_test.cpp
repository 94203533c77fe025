#include "text/prompt_file.hpp"

#include "core/json.hpp"
#include "packed.hpp"
#include "support/scratch_folder.hpp"
#include "text/posix_file.hpp"
#include "text/prompt_count.hpp"
#include "text/request_json.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

namespace sluice {
namespace {

using testing::HasSubstr;
using Paths = std::vector<std::filesystem::path>;

std::vector<ParsedLine> read_all(const Paths& paths, PromptFormat format = PromptFormat::Auto,
                                 const Sampling& defaults = {}) {
    std::vector<ParsedLine> lines;
    const auto source = open_prompts(paths, {.format = format, .defaults = defaults});
    while (auto line = source->next()) lines.push_back(std::move(*line));
    return lines;
}

const Request& request(const ParsedLine& line) {
    if (const auto* failed = std::get_if<FailedRequest>(&line))
        throw std::runtime_error("not a request: " + failed->error.message);
    return std::get<Request>(line);
}
std::string prompt(const ParsedLine& line) { return std::get<std::string>(request(line).input); }
std::string code(const ParsedLine& line) {
    const auto* failed = std::get_if<FailedRequest>(&line);
    return failed == nullptr ? "" : failed->error.code;
}

// ---- txt ----

TEST(PromptTxt, OnePromptALine) {
    using namespace std::string_literals;
    const ScratchFolder folder;
    const auto lines = read_all(
        {folder.put("p.txt", "\xEF\xBB\xBF\x66irst \r\n\r\n \t\n  {second\nnul\0inside\n\xFF\nlast"s)});
    ASSERT_EQ(lines.size(), 5U);
    EXPECT_EQ(prompt(lines[0]), "first ");
    EXPECT_EQ(request(lines[0]).id, "p.txt:1");
    EXPECT_EQ(request(lines[0]).id_json, "\"p.txt:1\"");
    EXPECT_EQ(prompt(lines[1]), "  {second");
    EXPECT_EQ(request(lines[1]).where, "p.txt:4");
    EXPECT_EQ(code(lines[2]), "nul_byte");
    EXPECT_EQ(code(lines[3]), "bad_utf8");
    EXPECT_EQ(std::get<FailedRequest>(lines[3]).id_json, "\"p.txt:6\"");
    EXPECT_EQ(prompt(lines[4]), "last");
}

TEST(PromptTxt, TheByteOrderMarkIsDroppedAtTheStartOfAFileOnly) {
    const ScratchFolder folder;
    const auto lines = read_all({folder.put("p.txt", "\xEF\xBB\xBF\n\xEF\xBB\xBFx\n"),
                                 folder.put("q.jsonl", "\xEF\xBB\xBF{\"prompt\": \"y\"}\n")});
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(prompt(lines[0]), "\xEF\xBB\xBFx");
    EXPECT_EQ(prompt(lines[1]), "y");
}

TEST(PromptTxt, TakesTheDefaults) {
    const ScratchFolder folder;
    const Sampling defaults{.max_new_tokens = 7, .temperature = 0.25F, .stop = {"x"}};
    const auto lines = read_all({folder.put("p.txt", "a\n")}, PromptFormat::Auto, defaults);
    EXPECT_EQ(request(lines.at(0)).sampling.max_new_tokens, 7);
    EXPECT_EQ(request(lines.at(0)).sampling.temperature, 0.25F);
    EXPECT_EQ(request(lines.at(0)).sampling.stop, std::vector<std::string>{"x"});
}

// ---- jsonl ----

ParsedLine parse_one(std::string_view json, const Sampling& defaults = {}) {
    const ScratchFolder folder;
    const auto lines = read_all({folder.put("p.jsonl", json)}, PromptFormat::Jsonl, defaults);
    EXPECT_EQ(lines.size(), 1U);
    return lines.at(0);
}

TEST(PromptJsonl, ReadsTheThreeInputs) {
    EXPECT_EQ(prompt(parse_one(R"({"prompt": "caf\u00e9 \ud83d\ude00"})")), "caf\xC3\xA9 \xF0\x9F\x98\x80");
    const ParsedLine chat = parse_one(
        R"({"messages":[{"role":"system","content":""},{"role":"user","content":"u"},{"role":"assistant","content":"a"}]})");
    const auto& messages = std::get<std::vector<Message>>(request(chat).input);
    ASSERT_EQ(messages.size(), 3U);
    EXPECT_EQ(messages[0].role + messages[1].role + messages[2].role, "systemuserassistant");
    EXPECT_EQ(messages[1].content, "u");
    const ParsedLine tokens = parse_one(R"({"tokens":[0, 5, 2147483647]})");
    EXPECT_EQ(std::get<std::vector<Token>>(request(tokens).input), (std::vector<Token>{0, 5, 2147483647}));
}

ParsedLine parse_text(std::string_view json) {
    return parse_json_line(json, "p.jsonl:1", {.purpose = Purpose::Score});
}

TEST(PromptJsonl, OfTextsMayHaveACompletionToScore) {
    EXPECT_EQ(prompt(parse_text(R"({"text":"whole","meta":1,"temperature":0})")), "whole");
    EXPECT_FALSE(request(parse_text(R"({"prompt":"whole"})")).completion.has_value());
    const ParsedLine both = parse_text(R"({"prompt":"p","completion":" c","logprobs":3})");
    EXPECT_EQ(prompt(both), "p");
    EXPECT_EQ(request(both).completion, " c");
    EXPECT_EQ(request(both).sampling.logprobs, 3);
    EXPECT_EQ(request(parse_text(R"({"tokens":[1,2],"completion":"c"})")).completion, "c");
    EXPECT_EQ(code(parse_text(R"({"text":"a","prompt":"b"})")), "two_prompts");
    EXPECT_EQ(code(parse_text(R"({"completion":"b"})")), "no_prompt");
    EXPECT_EQ(code(parse_text(R"({"text":""})")), "empty_prompt");
    EXPECT_EQ(code(parse_text(R"({"text":5})")), "bad_prompt");
    EXPECT_EQ(code(parse_text(R"({"text":"a","completion":""})")), "empty_completion");
    EXPECT_EQ(code(parse_text(R"({"text":"a","completion":["b"]})")), "bad_completion");
    EXPECT_EQ(code(parse_text(R"({"text":"a","logprobs":21})")), "bad_option");
    EXPECT_EQ(code(parse_text(R"({"text":"a","n":2})")), "bad_option");
    EXPECT_EQ(code(parse_text(R"({"text":"a","n":1})")), "");
    EXPECT_EQ(code(parse_text(R"({"text":"a","custom_id":"b"})")), "unknown_key");
    EXPECT_EQ(code(parse_one(R"({"text":"a"})")), "unknown_key") << "generating knows no text";
    EXPECT_EQ(code(parse_one(R"({"prompt":"a","completion":"b"})")), "unknown_key");
}

TEST(PromptJsonl, KeepsTheIdWithItsType) {
    const auto id_of = [](std::string_view id) {
        const ParsedLine line = parse_one("{\"id\": " + std::string(id) + ", \"prompt\": \"p\"}");
        return std::pair(request(line).id, request(line).id_json);
    };
    EXPECT_EQ(id_of("17"), std::pair(std::string("17"), std::string("17")));
    EXPECT_EQ(id_of("\"17\""), std::pair(std::string("17"), std::string("\"17\"")));
    EXPECT_EQ(id_of("-3"), std::pair(std::string("-3"), std::string("-3")));
    EXPECT_EQ(id_of("18446744073709551615").second, "18446744073709551615");
    EXPECT_EQ(id_of(R"("\u0041\"")"), std::pair(std::string("A\""), std::string(R"("A\"")")));
    EXPECT_EQ(request(parse_one("\n\n{\"prompt\": \"p\"}")).id, "p.jsonl:3");
}

TEST(PromptJsonl, OptionsOverrideTheDefaults) {
    const Sampling defaults{.max_new_tokens = 7, .top_k = 3, .stop = {"x"}, .ignore_eos = true};
    const ParsedLine none = parse_one(R"({"prompt":"p"})", defaults);
    EXPECT_EQ(request(none).sampling.max_new_tokens, 7);
    EXPECT_EQ(request(none).sampling.stop, std::vector<std::string>{"x"});
    EXPECT_TRUE(request(none).sampling.ignore_eos);
    const ParsedLine all = parse_one(
        R"({"prompt":"p","max_new_tokens":9,"temperature":0,"top_k":0,"top_p":0.5,"min_p":1,"repetition_penalty":1.5,)"
        R"("seed":18446744073709551615,"stop":["a","b"],"ignore_eos":false,"logprobs":20})",
        defaults);
    const Sampling& sampling = request(all).sampling;
    EXPECT_EQ(sampling.max_new_tokens, 9);
    EXPECT_EQ(sampling.temperature, 0.0F);
    EXPECT_EQ(sampling.top_k, 0);
    EXPECT_EQ(sampling.top_p, 0.5F);
    EXPECT_EQ(sampling.min_p, 1.0F);
    EXPECT_EQ(sampling.repetition_penalty, 1.5F);
    EXPECT_EQ(sampling.seed, 18446744073709551615ULL);
    EXPECT_EQ(sampling.stop, (std::vector<std::string>{"a", "b"}));
    EXPECT_FALSE(sampling.ignore_eos);
    EXPECT_EQ(sampling.logprobs, 20);
    EXPECT_EQ(request(parse_one(R"({"prompt":"p","stop":"z"})")).sampling.stop,
              std::vector<std::string>{"z"});
    EXPECT_TRUE(request(parse_one(R"({"prompt":"p","stop":[]})", defaults)).sampling.stop.empty());
}

TEST(PromptJsonl, CarriesMetaAsItIsWritten) {
    const auto meta_of = [](std::string_view meta) {
        return request(parse_one("{\"meta\" : " + std::string(meta) + " , \"prompt\":\"p\"}")).meta_json;
    };
    EXPECT_EQ(meta_of(R"({"z": 1.10, "a": [1, {"b": "x , y"}], "n": 123456789012345678901234567890})"),
              R"({"z":1.10,"a":[1,{"b":"x , y"}],"n":123456789012345678901234567890})");
    EXPECT_EQ(meta_of("null"), "null");
    EXPECT_EQ(meta_of("1e5"), "1e5");
    EXPECT_EQ(meta_of("[\r\t1 ]"), "[1]");
    EXPECT_EQ(meta_of(R"("a \" } \\")"), R"("a \" } \\")");
    EXPECT_EQ(request(parse_one(R"({"prompt":"p","meta":7})")).meta_json, "7");
    EXPECT_EQ(request(parse_one(R"({"prompt":"p","m\u0065ta":[]})")).meta_json, "[]");
    EXPECT_EQ(request(parse_one(R"({"prompt":"p"})")).meta_json, "");
}

struct BadLine {
    std::string json, code, part;
};

class PromptJsonlRefuses : public testing::TestWithParam<BadLine> {};

TEST_P(PromptJsonlRefuses, WithItsCodeAndTheReason) {
    const ParsedLine line = parse_one(GetParam().json);
    const auto* failed = std::get_if<FailedRequest>(&line);
    ASSERT_NE(failed, nullptr);
    EXPECT_EQ(failed->error.code, GetParam().code) << failed->error.message;
    EXPECT_THAT(failed->error.message, testing::StartsWith("p.jsonl:1: "));
    EXPECT_THAT(failed->error.message, HasSubstr(GetParam().part));
    EXPECT_LT(failed->error.message.size(), 600U);
    EXPECT_EQ(failed->where, "p.jsonl:1");
}

std::string with_prompt(const std::string& member) { return R"({"prompt":"p",)" + member + "}"; }
std::string with_messages(const std::string& value) { return R"({"messages":)" + value + "}"; }

INSTANTIATE_TEST_SUITE_P(
    Lines, PromptJsonlRefuses,
    testing::Values(
        BadLine{"{\"prompt\": ", "bad_json", "not valid JSON"}, BadLine{"{'prompt': 1}", "bad_json", ""},
        BadLine{"{\"prompt\": \"a\"} x", "bad_json", ""}, BadLine{"[1]", "bad_json", "expected an object"},
        BadLine{"\"text\"", "bad_json", "expected an object"},
        BadLine{"{\"prompt\": \"\\ud800\"}", "bad_json", ""},
        BadLine{"{\"prompt\": \"p\", // comment }", "bad_json", ""},
        BadLine{"{\"prompt\": NaN}", "bad_json", ""},
        BadLine{"{\"a\":" + std::string(100000, '['), "bad_json", "deeper"},
        BadLine{"{\"prompt\": \"" + std::string(100000, 'x'), "bad_json", "..."},
        BadLine{"{\"prompt\": \"\xC3\"}", "bad_utf8", "UTF-8"}, BadLine{"{\xC3\xA9}", "bad_json", ""},
        BadLine{"{}", "no_prompt", "prompt, messages, tokens"}, BadLine{R"({"id":1})", "no_prompt", ""},
        BadLine{R"({"prompt":"a","tokens":[1]})", "two_prompts", "prompt and tokens"},
        BadLine{R"({"prompt":3})", "bad_prompt", "3"}, BadLine{R"({"prompt":null})", "bad_prompt", "null"},
        BadLine{R"({"prompt":""})", "empty_prompt", ""}, BadLine{R"({"tokens":[]})", "empty_prompt", ""},
        BadLine{with_messages("[]"), "empty_prompt", ""},
        BadLine{with_messages("{}"), "bad_messages", "list"},
        BadLine{with_messages("[1]"), "bad_messages", "messages[0]"},
        BadLine{with_messages(R"([{"role":"user"}])"), "bad_messages", "messages[0] has no content"},
        BadLine{with_messages(R"([{"role":"user","content":["x"]}])"), "bad_messages", "messages[0].content"},
        BadLine{with_messages(R"([{"role":"user","content":"a"},{"role":"tool","content":"b"}])"),
                "unknown_role", "messages[1].role is \"tool\""},
        BadLine{with_messages(R"([{"role":"user","content":"a","name":"b"}])"), "unknown_key", "\"name\""},
        BadLine{R"({"tokens":"1 2"})", "bad_tokens", "list"},
        BadLine{R"({"tokens":[1,2.0]})", "bad_tokens", "tokens[1]"},
        BadLine{R"({"tokens":[-1]})", "bad_tokens", "tokens[0] is -1"},
        BadLine{R"({"tokens":[2147483648]})", "bad_tokens", "2147483648"},
        BadLine{R"({"tokens":[18446744073709551615]})", "bad_tokens", "18446744073709551615"},
        BadLine{with_prompt(R"("temprature":0.5)"), "unknown_key", "\"temprature\" (known: id, prompt"},
        BadLine{with_prompt("\"" + std::string(5000, 'k') + "\":0"), "unknown_key", "..."},
        BadLine{with_prompt(R"("prompt":"again")"), "repeated_key", "\"prompt\""},
        BadLine{with_prompt(R"("s\u0065ed":1,"seed":2)"), "repeated_key", "\"seed\""},
        BadLine{with_prompt(R"("id":1.5)"), "bad_id", "1.5"},
        BadLine{with_prompt(R"("id":null)"), "bad_id", ""},
        BadLine{with_prompt(R"("id":18446744073709551616)"), "bad_id", "64 bits"},
        BadLine{with_prompt(R"("max_new_tokens":0)"), "bad_option", "max_new_tokens is 0"},
        BadLine{with_prompt(R"("max_new_tokens":2.5)"), "bad_option", "max_new_tokens is 2.5"},
        BadLine{with_prompt(R"("max_new_tokens":4294967297)"), "bad_option", "4294967297"},
        BadLine{with_prompt(R"("temperature":-0.1)"), "bad_option", "temperature is -0.1"},
        BadLine{with_prompt(R"("temperature":1e39)"), "bad_option", "temperature"},
        BadLine{with_prompt(R"("temperature":"hot")"), "bad_option", "\"hot\""},
        BadLine{with_prompt(R"("top_k":-1)"), "bad_option", "top_k is -1"},
        BadLine{with_prompt(R"("top_k":-9223372036854775808)"), "bad_option", "top_k"},
        BadLine{with_prompt(R"("top_p":0)"), "bad_option", "top_p is 0"},
        BadLine{with_prompt(R"("top_p":1.01)"), "bad_option", "top_p"},
        BadLine{with_prompt(R"("min_p":-1)"), "bad_option", "min_p"},
        BadLine{with_prompt(R"("min_p":2)"), "bad_option", ""},
        BadLine{with_prompt(R"("repetition_penalty":0)"), "bad_option", "repetition_penalty"},
        BadLine{with_prompt(R"("seed":-1)"), "bad_option", "seed is -1"},
        BadLine{with_prompt(R"("seed":1e3)"), "bad_option", "seed"},
        BadLine{with_prompt(R"("stop":"")"), "bad_option", "stop"},
        BadLine{with_prompt(R"("stop":["a",""])"), "bad_option", "stop"},
        BadLine{with_prompt(R"("stop":["a",1])"), "bad_option", "stop is [\"a\",1]"},
        BadLine{with_prompt(R"("ignore_eos":1)"), "bad_option", "ignore_eos is 1"},
        BadLine{with_prompt(R"("n":0)"), "bad_option", "n is 0: expected a whole number from 1 to 1024"},
        BadLine{with_prompt(R"("n":1025)"), "bad_option", "n is 1025"},
        BadLine{with_prompt(R"("custom_id":"a")"), "unknown_key", "custom_id"}));

// ---- zero bytes ----

struct NulCase {
    std::string line, code, prompt;
};

class ANulByte : public testing::TestWithParam<NulCase> {};

TEST_P(ANulByte, IsRefusedUnlessItIsEscaped) {
    const bool json = GetParam().line.starts_with('{');
    const ScratchFolder folder;
    const auto lines = read_all({folder.put(json ? "p.jsonl" : "p.txt", GetParam().line + "\n")});
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(code(lines[0]), GetParam().code);
    EXPECT_TRUE(!code(lines[0]).empty() || prompt(lines[0]) == GetParam().prompt);
}

using namespace std::string_literals;
INSTANTIATE_TEST_SUITE_P(Lines, ANulByte,
                         testing::Values(NulCase{"\0"s, "nul_byte", ""}, NulCase{"a\0b"s, "nul_byte", ""},
                                         NulCase{"ab\0"s, "nul_byte", ""},
                                         NulCase{R"({"prompt":"a\u0000b"})", "", "a\0b"s},
                                         NulCase{"{\"prompt\":\"a\0b\"}"s, "bad_json", ""},
                                         NulCase{"{\"prompt\":\"a\"}\0"s, "bad_json", ""},
                                         NulCase{"{\"prompt\":\"a\"\0}"s, "bad_json", ""},
                                         NulCase{"{\0\"prompt\":\"a\"}"s, "bad_json", ""}));

// ---- a field of somebody's data set ----

ParsedLine parse_field(std::string_view json) {
    return parse_json_line(json, "p.jsonl:1", {.field = "question"});
}

TEST(PromptField, IsTheInputAndTheRestIsPassedOver) {
    const ParsedLine line = parse_field(
        R"({"id":7,"question":"why?","prompt":1,"temperature":"x","custom_id":1,"x":1,"x":2,"meta":[1 ]})");
    EXPECT_EQ(prompt(line), "why?");
    EXPECT_EQ(request(line).id, "7");
    EXPECT_EQ(request(line).meta_json, "[1]");
    EXPECT_EQ(request(line).sampling.temperature, 1.0F);
    const ParsedLine chat = parse_field(R"({"question":[{"role":"user","content":"u"}]})");
    EXPECT_EQ(std::get<std::vector<Message>>(request(chat).input).at(0).content, "u");
    const ParsedLine tokens = parse_field(R"({"question":[3,1]})");
    EXPECT_EQ(std::get<std::vector<Token>>(request(tokens).input), (std::vector<Token>{3, 1}));
    const ScratchFolder folder;
    const auto open = [&](PromptFormat format) {
        return open_prompts({folder.put("a.txt", "{\"f\":\"x\"}\n")}, {.format = format, .field = "f"});
    };
    EXPECT_EQ(prompt(*open(PromptFormat::Auto)->next()), "x");
    expect_error([&] { open(PromptFormat::Txt); }, ExitCode::Usage, {"field f", "jsonl"});
    expect_error([&] { open(PromptFormat::OpenAi); }, ExitCode::Usage, {"field f", "jsonl"});
}

TEST(PromptField, IsRefusedWhereItIsNoInput) {
    const ParsedLine missing = parse_field(R"({"id":7,"prompt":"p"})");
    EXPECT_EQ(code(missing), "no_prompt");
    EXPECT_THAT(std::get<FailedRequest>(missing).error.message, HasSubstr("\"question\""));
    EXPECT_EQ(std::get<FailedRequest>(missing).id, "7");
    EXPECT_EQ(code(parse_field(R"({"question":null})")), "bad_prompt");
    EXPECT_EQ(code(parse_field(R"({"question":""})")), "empty_prompt");
    EXPECT_EQ(code(parse_field(R"({"question":[]})")), "empty_prompt");
    EXPECT_EQ(code(parse_field(R"({"question":["a"]})")), "bad_tokens");
    EXPECT_EQ(code(parse_field(R"({"question":[{"role":"king","content":""}]})")), "unknown_role");
    EXPECT_EQ(code(parse_field(R"({"question":"a","question":"b"})")), "repeated_key");
    EXPECT_EQ(code(parse_field(R"({"question":"a","id":1.5})")), "bad_id");
}

TEST(PromptJsonl, AFailedLineKeepsItsIdAndMeta) {
    const ParsedLine line = parse_one(R"({"id":17,"prompt":"p","top_k":-1,"meta":{"k":1}})");
    const auto& failed = std::get<FailedRequest>(line);
    EXPECT_EQ(failed.id, "17");
    EXPECT_EQ(failed.id_json, "17");
    EXPECT_EQ(failed.meta_json, R"({"k":1})");
}

TEST(PromptJsonl, ARepeatedIdIsAnErrorThatNamesItsLine) {
    const ScratchFolder folder;
    const auto lines =
        read_all({folder.put("a.jsonl",
                             "{\"id\":1,\"prompt\":\"p\"}\n{\"id\":\"1\",\"prompt\":\"p\"}\n"
                             "{\"id\":1,\"prompt\":\"q\",\"meta\":2}\n{\"id\":\"b.jsonl:2\"}\n"),
                  folder.put("b.jsonl", "{\"id\":1,\"top_k\":-1}\n{\"prompt\":\"p\"}\n")});
    ASSERT_EQ(lines.size(), 6U);
    EXPECT_EQ(code(lines[0]), "");
    EXPECT_EQ(code(lines[1]), "");  // a string is not a number
    EXPECT_EQ(code(lines[2]), "duplicate_id");
    EXPECT_EQ(std::get<FailedRequest>(lines[2]).id_json, "1");
    EXPECT_EQ(std::get<FailedRequest>(lines[2]).meta_json, "2");
    EXPECT_THAT(std::get<FailedRequest>(lines[2]).error.message, HasSubstr("a.jsonl:3"));
    EXPECT_EQ(code(lines[3]), "no_prompt");
    EXPECT_EQ(code(lines[4]), "duplicate_id");
    EXPECT_THAT(std::get<FailedRequest>(lines[4]).error.message, HasSubstr("b.jsonl:1"));
    EXPECT_EQ(code(lines[5]), "duplicate_id");  // its FILE:LINE was taken as an id
}

// ---- files ----

TEST(PromptFiles, TheFormatFollowsTheNameThenTheFirstByte) {
    const ScratchFolder folder;
    const std::string json = "\n \n  {\"prompt\":\"p\"}\n";
    EXPECT_EQ(prompt(read_all({folder.put("a.json", json)}).at(0)), "p");
    EXPECT_EQ(prompt(read_all({folder.put("a.ndjson", json)}).at(0)), "p");
    EXPECT_EQ(prompt(read_all({folder.put("a", json)}).at(0)), "p");
    EXPECT_EQ(prompt(read_all({folder.put("a.txt", json)}).at(0)), "  {\"prompt\":\"p\"}");
    EXPECT_EQ(prompt(read_all({folder.put("b", "plain\n{\"prompt\":\"p\"}\n")}).at(1)), "{\"prompt\":\"p\"}");
    EXPECT_EQ(prompt(read_all({folder / "a.txt"}, PromptFormat::Jsonl).at(0)), "p");
    EXPECT_EQ(code(read_all({folder / "b"}, PromptFormat::Jsonl).at(0)), "bad_json");
    EXPECT_EQ(code(read_all({folder.put("c.jsonl", "plain\n")}).at(0)), "bad_json");
    EXPECT_TRUE(read_all({folder.put("d", ""), folder.put("e.jsonl", "\n\n")}).empty());
    const std::string batch = R"({"custom_id":"c","url":"/v1/completions","body":{"prompt":"p"}})"
                              "\n{\"prompt\":\"q\"}\n";
    const auto mixed = read_all({folder.put("f.jsonl", batch)});
    EXPECT_EQ(request(mixed.at(0)).api, Api::Completions);
    EXPECT_EQ(request(mixed.at(1)).api, Api::None);
    EXPECT_EQ(code(read_all({folder / "f.jsonl"}, PromptFormat::Jsonl).at(0)), "unknown_key");
    EXPECT_EQ(code(read_all({folder / "f.jsonl"}, PromptFormat::OpenAi).at(1)), "bad_id");
    EXPECT_EQ(std::get<FailedRequest>(read_all({folder / "b"}, PromptFormat::OpenAi).at(0)).api, Api::Chat);
}

TEST(PromptFiles, AreCheckedBeforeTheFirstLine) {
    const ScratchFolder folder;
    const auto good = folder.put("good.txt", "a\n");
    const auto open = [](const Paths& paths) { open_prompts(paths, {}); };
    expect_error([&] { open({}); }, ExitCode::Usage, {"no prompt file"});
    expect_error([&] { open({good, folder / "none.txt"}); }, ExitCode::File, {"none.txt", "No such file"});
    expect_error([&] { open({good, folder.path()}); }, ExitCode::File, {folder.path().string(), "folder"});
    expect_error(
        [&] {
            open({good, good / "below"});
        },
        ExitCode::File, {"good.txt/below", "Not a directory"});
    std::filesystem::create_directory(folder / "sub");
    expect_error(
        [&] {
            open({good, folder.put("sub/good.txt", "b\n")});
        },
        ExitCode::Usage, {good.string(), (folder / "sub/good.txt").string(), "good.txt:1"});
    expect_error([&] { open({good, good}); }, ExitCode::Usage, {good.string()});
    expect_error([&] { open({"-", "-"}); }, ExitCode::Usage, {"-"});
}

TEST(PromptFiles, MayBePacked) {
    const ScratchFolder folder;
    const std::string json = "{\"prompt\":\"{\"}\n\n{\"prompt\":\"q\"}\n";
    const auto lines = read_all({folder.put("a.jsonl.gz", gzip(json)), folder.put("b.txt.zst", zstd("{t\n")),
                                 folder.put("c", gzip(json)), folder.put("d.jsonl", zstd(json)),
                                 folder.put("e.txt.gz", "not packed\n")});
    ASSERT_EQ(lines.size(), 8U);
    EXPECT_EQ(prompt(lines[0]), "{");
    EXPECT_EQ(request(lines[1]).id, "a.jsonl.gz:3");
    EXPECT_EQ(prompt(lines[2]), "{t");
    EXPECT_EQ(prompt(lines[4]), "q");
    EXPECT_EQ(prompt(lines[6]), "q");
    EXPECT_EQ(prompt(lines[7]), "not packed");
    const auto torn = folder.put("torn.jsonl.gz", gzip(json).substr(0, 20));
    expect_error([&] { read_all({torn}); }, ExitCode::File, {torn.string(), "gzip", "cut short"});
}

TEST(PromptFiles, AreCountedWhereTheyArePlain) {
    const ScratchFolder folder;
    const auto a = folder.put("a.txt", "1\n\n2\n \t\r\n3");
    const auto b = folder.put("b.jsonl", "4\n5\n");
    EXPECT_EQ(count_requests({a, b}), 5);
    EXPECT_EQ(count_requests({a, b}, {.part = 1, .parts = 2}), 3);
    EXPECT_EQ(count_requests({a, b}, {.part = 2, .parts = 2}), 2);
    EXPECT_EQ(count_requests({a, b}, {.part = 7, .parts = 7}), 0);
    EXPECT_EQ(count_requests({a, "-"}), std::nullopt);
    EXPECT_EQ(count_requests({a, folder.put("c.txt", gzip("1\n"))}), std::nullopt);
    EXPECT_EQ(count_requests({folder.put("d.txt", zstd("1\n")), a}), std::nullopt);
    EXPECT_EQ(count_requests({folder.put("e.txt", "(")}), 1) << "begins as zstd does";
}

TEST(PromptFiles, AreReadInOrder) {
    const ScratchFolder folder;
    const auto lines = read_all({folder.put("b.txt", "1\n2"), folder.put("a.jsonl", "{\"prompt\":\"3\"}")});
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_EQ(prompt(lines[0]) + prompt(lines[1]) + prompt(lines[2]), "123");
    EXPECT_EQ(request(lines[2]).id, "a.jsonl:1");
}

TEST(PromptFiles, StandardInputThroughAPipe) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const int saved = ::dup(STDIN_FILENO);
    ::dup2(ends[0], STDIN_FILENO);
    ::close(ends[0]);
    std::thread writer([&] {
        for (const char* part : {"{\"prompt\":\"o", "ne\"}\r\n\n{\"prompt\":", "\"two\"}"}) {
            EXPECT_EQ(write_all(ends[1], part), 0);
            std::this_thread::yield();
        }
        ::close(ends[1]);
    });
    const auto lines = read_all({"-"});
    writer.join();
    ::dup2(saved, STDIN_FILENO);
    ::close(saved);
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(prompt(lines[0]) + prompt(lines[1]), "onetwo");
    EXPECT_EQ(request(lines[1]).id, "-:3");
}

TEST(PromptFiles, ANamedPipeIsOpenedOnce) {
    const ScratchFolder folder;
    ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
    std::thread writer([&] {
        const PosixFile file = open_file(folder / "pipe", O_WRONLY);
        EXPECT_EQ(write_all(file.fd(), "a\nb\n"), 0);
    });
    const auto lines = read_all({folder / "pipe"});
    writer.join();
    EXPECT_EQ(lines.size(), 2U);
}

TEST(PromptFiles, ANameThatIsNotUtf8GivesAnIdThatIs) {
    const ScratchFolder folder;
    const auto lines = read_all({folder.put("\xFF.txt", "a\n")});
    EXPECT_EQ(request(lines.at(0)).id, "\xEF\xBF\xBD.txt:1");
}

// ---- long lines ----

TEST(PromptFiles, ALineOf64MiBIsTheLongest) {
    const ScratchFolder folder;
    const std::size_t limit = std::size_t{64} << 20;
    const auto path = folder.put("p.txt", "");
    std::ofstream(path, std::ios::binary) << std::string(limit, 'a') << "\r\n"
                                          << std::string(limit + 1, 'b') << "\nshort\n";
    const auto lines = read_all({path});
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_EQ(prompt(lines[0]).size(), limit);
    EXPECT_EQ(code(lines[1]), "line_too_long");
    EXPECT_EQ(std::get<FailedRequest>(lines[1]).id, "p.txt:2");
    EXPECT_EQ(prompt(lines[2]), "short");
}

TEST(PromptFiles, AnEndlessLineIsPassedOverInBoundedMemory) {
    const ScratchFolder folder;
    const auto path = folder.put("p.jsonl", "{\"prompt\":\"a\"}\n");
    const std::int64_t end = std::int64_t{3} << 29;
    ASSERT_EQ(::truncate(path.c_str(), end), 0);  // a hole: one line of zeros, without disk
    std::ofstream(path, std::ios::binary | std::ios::app) << "\n{\"prompt\":\"b\"}\n";
    const auto peak_kib = [] {
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        return usage.ru_maxrss;
    };
    const long before = peak_kib();
    const auto lines = read_all({path});
    EXPECT_LT(peak_kib() - before, 512L << 10);
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_EQ(code(lines[1]), "line_too_long");
    EXPECT_EQ(prompt(lines[2]), "b");
}

}  // namespace
}  // namespace sluice
