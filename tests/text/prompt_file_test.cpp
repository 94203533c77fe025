#include "core/json.hpp"
#include "prompt_reading.hpp"
#include "support/scratch_folder.hpp"
#include "text/request_json.hpp"

#include <gmock/gmock.h>

namespace sluice {
namespace {

using testing::HasSubstr;

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

}  // namespace
}  // namespace sluice
