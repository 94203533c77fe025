#include "text/request_openai.hpp"

#include "text/request_json.hpp"

#include <gmock/gmock.h>

namespace sluice {
namespace {

using testing::HasSubstr;

ParsedLine parse_batch(const std::string& line, const Sampling& defaults = {}) {
    return parse_json_line(line, "b.jsonl:1", {.format = PromptFormat::OpenAi, .defaults = defaults});
}

std::string chat_line(const std::string& members) {
    return R"({"custom_id":"c","method":"POST","url":"/v1/chat/completions","body":{)" + members + "}}";
}

std::string completions_line(const std::string& members) {
    return R"({"custom_id":"c","method":"POST","url":"/v1/completions","body":{)" + members + "}}";
}

// With something to answer.
ParsedLine chat(const std::string& members, const Sampling& defaults = {}) {
    return parse_batch(chat_line(R"("messages":[{"role":"user","content":"u"}],)" + members), defaults);
}
ParsedLine completions(const std::string& members, const Sampling& defaults = {}) {
    return parse_batch(completions_line(R"("prompt":"p",)" + members), defaults);
}

const Request& request(const ParsedLine& line) {
    if (const auto* failed = std::get_if<FailedRequest>(&line))
        throw std::runtime_error("not a request: " + failed->error.message);
    return std::get<Request>(line);
}
const Sampling& sampling(const ParsedLine& line) { return request(line).sampling; }
std::string code(const ParsedLine& line) {
    const auto* failed = std::get_if<FailedRequest>(&line);
    return failed == nullptr ? "" : failed->error.code;
}

TEST(OpenAiLine, OfAConversation) {
    const ParsedLine line = parse_batch(chat_line(
        R"("model":"m","messages":[{"role":"developer","content":"d"},{"role":"user","name":"Ann","content":)"
        R"([{"type":"text","text":"a "},{"type":"text","text":"b"}]},)"
        R"({"role":"assistant","content":"c","refusal":null,"annotations":[]},{"role":"system","content":""}])"));
    const auto& messages = std::get<std::vector<Message>>(request(line).input);
    ASSERT_EQ(messages.size(), 4U);
    EXPECT_EQ(messages[0].role + messages[1].role + messages[2].role + messages[3].role,
              "systemuserassistantsystem");
    EXPECT_EQ(messages[0].content + messages[1].content + messages[2].content, "da bc");
    EXPECT_EQ(request(line).id, "c");
    EXPECT_EQ(request(line).id_json, "\"c\"");
    EXPECT_EQ(request(line).api, Api::Chat);
    EXPECT_EQ(request(line).api_model, "m");
    EXPECT_EQ(request(line).where, "b.jsonl:1");
}

TEST(OpenAiLine, OfAPrompt) {
    const auto input = [](const std::string& prompt) {
        const ParsedLine line = parse_batch(completions_line("\"prompt\":" + prompt));
        EXPECT_EQ(request(line).api, Api::Completions);
        return request(line).input;
    };
    EXPECT_EQ(std::get<std::string>(input("\"p\"")), "p");
    EXPECT_EQ(std::get<std::string>(input("[\"p\"]")), "p");
    EXPECT_EQ(std::get<std::vector<Token>>(input("[3,0]")), (std::vector<Token>{3, 0}));
    EXPECT_EQ(std::get<std::vector<Token>>(input("[[3,0]]")), (std::vector<Token>{3, 0}));
}

TEST(OpenAiLine, OptionsHaveTheApisNames) {
    const ParsedLine line = chat(
        R"("max_tokens":9,"temperature":0,"top_p":0.5,"n":3,"stop":["a","b"],"seed":4,"top_k":7,"min_p":0.25,)"
        R"("repetition_penalty":1.5,"ignore_eos":true)");
    EXPECT_EQ(sampling(line).max_new_tokens, 9);
    EXPECT_EQ(sampling(line).temperature, 0.0F);
    EXPECT_EQ(sampling(line).top_p, 0.5F);
    EXPECT_EQ(sampling(line).n, 3);
    EXPECT_EQ(sampling(line).stop, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(sampling(line).seed, 4U);
    EXPECT_EQ(sampling(line).top_k, 7);
    EXPECT_EQ(sampling(line).min_p, 0.25F);
    EXPECT_EQ(sampling(line).repetition_penalty, 1.5F);
    EXPECT_TRUE(sampling(line).ignore_eos);
    EXPECT_EQ(sampling(chat(R"("max_completion_tokens":8)")).max_new_tokens, 8);
    EXPECT_EQ(sampling(chat(R"("max_completion_tokens":8,"max_tokens":8)")).max_new_tokens, 8);
    EXPECT_EQ(sampling(chat(R"("stop":"x")")).stop, std::vector<std::string>{"x"});
    EXPECT_EQ(sampling(chat(R"("top_k":-1)", {.top_k = 5, .stop = {}})).top_k, 0);
}

TEST(OpenAiLine, NullIsAbsentAndTheDefaultsAreTheCommandLines) {
    const Sampling defaults{
        .max_new_tokens = 7, .temperature = 0.5F, .seed = 3, .stop = {"x"}, .logprobs = 2};
    for (const char* members :
         {R"("user":"u")", R"("max_tokens":null,"temperature":null,"seed":null,)"
                           R"("stop":null,"logprobs":null,"model":null,"tools":null)"}) {
        for (const ParsedLine& line : {chat(members, defaults), completions(members, defaults)}) {
            EXPECT_EQ(sampling(line).max_new_tokens, 7);
            EXPECT_EQ(sampling(line).temperature, 0.5F);
            EXPECT_EQ(sampling(line).seed, 3U);
            EXPECT_EQ(sampling(line).stop, std::vector<std::string>{"x"});
            EXPECT_EQ(sampling(line).logprobs, 2);
        }
    }
}

TEST(OpenAiLine, LogProbabilities) {
    const auto of_chat = [](const char* members) {
        return sampling(chat(members, {.stop = {}, .logprobs = 3})).logprobs;
    };
    EXPECT_EQ(of_chat(R"("logprobs":true)"), 1);
    EXPECT_EQ(of_chat(R"("logprobs":true,"top_logprobs":0)"), 1);
    EXPECT_EQ(of_chat(R"("logprobs":true,"top_logprobs":20)"), 20);
    EXPECT_EQ(of_chat(R"("logprobs":false,"top_logprobs":0)"), 0);
    EXPECT_EQ(of_chat(R"("top_logprobs":0)"), 3);
    EXPECT_EQ(sampling(completions(R"("logprobs":0)")).logprobs, 1);
    EXPECT_EQ(sampling(completions(R"("logprobs":5)")).logprobs, 5);
}

TEST(OpenAiLine, WhatAsksForNothingIsAccepted) {
    const ParsedLine line = chat(
        R"("frequency_penalty":0,"presence_penalty":0.0,"logit_bias":{},"response_format":{"type":"text"},)"
        R"("tools":[],"functions":[],"tool_choice":"none","function_call":"auto","stream":false,"stream_options":null,)"
        R"("modalities":["text"],"audio":null,"user":"u","metadata":{"a":"b"},"store":true,"service_tier":"flex",)"
        R"("safety_identifier":"s","prompt_cache_key":"k","parallel_tool_calls":true)");
    EXPECT_EQ(code(line), "");
    EXPECT_EQ(code(completions(R"("echo":false,"suffix":"","best_of":2,"n":2)")), "");
    EXPECT_EQ(code(completions(R"("best_of":3)", {.stop = {}, .n = 3})), "");
}

TEST(OpenAiLine, AFailedLineKeepsWhatIsKnownOfIt) {
    const ParsedLine line = completions(R"("model":"m","top_k":-2)");
    const auto& failed = std::get<FailedRequest>(line);
    EXPECT_EQ(failed.error.code, "bad_option");
    EXPECT_EQ(failed.id_json, "\"c\"");
    EXPECT_EQ(failed.api, Api::Completions);
    EXPECT_EQ(failed.api_model, "m");
    const ParsedLine torn = parse_batch("{\"custom_id\":");
    EXPECT_EQ(std::get<FailedRequest>(torn).api, Api::Chat);
    EXPECT_EQ(std::get<FailedRequest>(torn).id, "b.jsonl:1");
}

struct BadLine {
    std::string json, code, part;
};

class OpenAiLineRefuses : public testing::TestWithParam<BadLine> {};

TEST_P(OpenAiLineRefuses, WithItsCodeAndTheReason) {
    const ParsedLine line = parse_batch(GetParam().json);
    const auto* failed = std::get_if<FailedRequest>(&line);
    ASSERT_NE(failed, nullptr) << GetParam().json;
    EXPECT_EQ(failed->error.code, GetParam().code) << failed->error.message;
    EXPECT_THAT(failed->error.message, testing::StartsWith("b.jsonl:1: "));
    EXPECT_THAT(failed->error.message, HasSubstr(GetParam().part));
    EXPECT_LT(failed->error.message.size(), 600U);
}

std::string with_chat(const std::string& members) {
    return chat_line(R"("messages":[{"role":"user","content":"u"}],)" + members);
}
std::string with_prompt(const std::string& members) { return completions_line(R"("prompt":"p",)" + members); }
std::string with_content(const std::string& content) {
    return chat_line(R"("messages":[{"role":"user","content":)" + content + "}]");
}

INSTANTIATE_TEST_SUITE_P(
    Lines, OpenAiLineRefuses,
    testing::Values(
        BadLine{R"({"prompt":"p"})", "bad_id", "custom_id is missing"},
        BadLine{R"({"custom_id":7,"url":"/v1/completions","body":{"prompt":"p"}})", "bad_id",
                "custom_id is 7"},
        BadLine{R"({"custom_id":"c","body":{}})", "bad_request", "url is missing"},
        BadLine{R"({"custom_id":"c","url":"/v1/embeddings","body":{}})", "bad_request", "/v1/embeddings"},
        BadLine{R"({"custom_id":"c","method":"GET","url":"/v1/completions","body":{"prompt":"p"}})",
                "bad_request", "method is \"GET\""},
        BadLine{R"({"custom_id":"c","url":"/v1/completions"})", "bad_request", "body is missing"},
        BadLine{R"({"custom_id":"c","url":"/v1/completions","body":[]})", "bad_request", "body is []"},
        BadLine{R"({"custom_id":"c","url":"/v1/completions","body":{"prompt":"p"},"x":1})", "unknown_key",
                "\"x\" (known: custom_id, method, url, body)"},
        BadLine{R"({"custom_id":"c","custom_id":"d","url":"/v1/completions","body":{}})", "repeated_key",
                "custom_id"},
        BadLine{chat_line(R"("model":"m")"), "no_prompt", "messages"},
        BadLine{chat_line(R"("messages":null)"), "no_prompt", "messages"},
        BadLine{chat_line(R"("prompt":"p")"), "unknown_key", "prompt"},
        BadLine{completions_line(R"("messages":[])"), "unknown_key", "messages"},
        BadLine{with_prompt(R"("top_logprobs":1)"), "unknown_key", "top_logprobs"},
        BadLine{with_chat(R"("temprature":1)"), "unknown_key", "temprature"},
        BadLine{with_chat(R"("seed":1,"s\u0065ed":2)"), "repeated_key", "seed"},
        BadLine{chat_line(R"("messages":[])"), "empty_prompt", "messages"},
        BadLine{completions_line(R"("prompt":"")"), "empty_prompt", "prompt"},
        BadLine{completions_line(R"("prompt":[])"), "empty_prompt", "prompt"},
        BadLine{completions_line(R"("prompt":[""])"), "empty_prompt", "prompt[0]"},
        BadLine{completions_line(R"("prompt":["a","b"])"), "bad_prompt", "a list of 2 prompts"},
        BadLine{completions_line(R"("prompt":[[1],[2]])"), "bad_prompt", "a list of 2 prompts"},
        BadLine{completions_line(R"("prompt":7)"), "bad_prompt", "7"},
        BadLine{completions_line(R"("prompt":[1,"a"])"), "bad_tokens", "prompt[1]"},
        BadLine{with_content("null"), "bad_messages", "messages[0].content is null"},
        BadLine{with_content(R"([{"type":"image_url","image_url":{"url":"x"}}])"), "bad_messages",
                "messages[0].content[0]"},
        BadLine{with_content(R"([{"type":"text"}])"), "bad_messages", "content[0]"},
        BadLine{chat_line(R"("messages":[{"role":"tool","content":"t"}])"), "unknown_role", "developer"},
        BadLine{chat_line(R"("messages":[{"role":"assistant","content":"","tool_calls":[{}]}])"),
                "unknown_key", "tool_calls"},
        BadLine{with_chat(R"("model":3)"), "bad_option", "model is 3"},
        BadLine{with_chat(R"("max_tokens":0)"), "bad_option", "max_tokens is 0"},
        BadLine{with_chat(R"("max_tokens":1,"max_completion_tokens":2)"), "bad_option", "one of them"},
        BadLine{with_chat(R"("n":1025)"), "bad_option", "n is 1025"},
        BadLine{with_chat(R"("seed":-1)"), "bad_option", "seed is -1"},
        BadLine{with_chat(R"("top_k":-2)"), "bad_option", "top_k is -2"},
        BadLine{with_chat(R"("logprobs":1)"), "bad_option", "logprobs is 1"},
        BadLine{with_chat(R"("top_logprobs":1)"), "bad_option", "top_logprobs is 1 without logprobs"},
        BadLine{with_chat(R"("logprobs":true,"top_logprobs":21)"), "bad_option", "top_logprobs is 21"},
        BadLine{with_prompt(R"("logprobs":true)"), "bad_option", "logprobs is true"},
        BadLine{with_prompt(R"("best_of":2)"), "unsupported_option", "best_of is 2"},
        BadLine{with_prompt(R"("echo":true)"), "unsupported_option", "echo is true"},
        BadLine{with_prompt(R"("suffix":"s")"), "unsupported_option", "suffix is \"s\""}));

TEST(OpenAiLine, WhatWouldChangeTheAnswerIsUnsupported) {
    for (const char* member :
         {R"("frequency_penalty":0.1)", R"("presence_penalty":-1)", R"("logit_bias":{"1":2})",
          R"("response_format":{"type":"json_object"})", R"("tools":[{}])", R"("functions":[{}])",
          R"("tool_choice":"required")", R"("function_call":{"name":"f"})", R"("stream":true)",
          R"("stream_options":{})", R"("modalities":["text","audio"])", R"("audio":{})", R"("prediction":{})",
          R"("reasoning_effort":"low")", R"("verbosity":"low")", R"("web_search_options":{})",
          R"("frequency_penalty":"0")"})
        EXPECT_EQ(code(chat(member)), "unsupported_option") << member;
}

}  // namespace
}  // namespace sluice
