// The lines of each format of an output, and what they are read back as.
#include "text/answer_lines.hpp"

#include "byte_tokenizer.hpp"
#include "core/json.hpp"
#include "text/answered.hpp"
#include "text/request_json.hpp"
#include "text/token_logprobs.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace sluice {
namespace {

Completion completion(std::string text, Api api = Api::None, int index = 0, int n = 1) {
    Completion made;
    made.id = "a";
    made.id_json = "\"a\"";
    made.text = std::move(text);
    made.prompt_tokens = 5;
    made.completion_tokens = 2;
    made.index = index;
    made.n = n;
    made.api = api;
    made.api_model = "m \"1\"";
    return made;
}

std::string line_of(const Completion& made, OutputFormat format) { return answer_line({&made, 1}, format); }

Completion failed(const std::string& code, Api api) {
    return error_record({"a", "\"a\"", "f:1", {code, "f:1: a\\b\nc"}, "[7]", 0, api});
}

TEST(AnswerLine, AsAskedIsTheApisLineOrJsonl) {
    EXPECT_EQ(line_of(completion("x"), OutputFormat::AsAsked), to_json_line(completion("x")));
    EXPECT_EQ(line_of(completion("x", Api::Chat), OutputFormat::Jsonl), to_json_line(completion("x")));
    const Json line = Json::parse(line_of(completion("x", Api::Chat), OutputFormat::AsAsked));
    EXPECT_EQ(line["custom_id"], "a");
    EXPECT_EQ(shape_of(Api::None, OutputFormat::OpenAi), Api::Completions);
    EXPECT_EQ(shape_of(Api::Chat, OutputFormat::OpenAi), Api::Chat);
    EXPECT_EQ(shape_of(Api::Chat, OutputFormat::Txt), Api::None);
}

TEST(AnswerLine, OfJsonlHasAnIndexOnlyAmongSeveral) {
    EXPECT_EQ(to_json_line(completion("x", Api::None, 1, 3)),
              R"({"id":"a","index":1,"completion":"x","finish_reason":"stop","prompt_tokens":5,)"
              R"("completion_tokens":2})");
}

TEST(AnswerLine, OfAChat) {
    EXPECT_EQ(line_of(completion("h\xC3\xA9\n", Api::Chat), OutputFormat::AsAsked),
              R"({"id":"batch_req_06c88f6f46b0473b","custom_id":"a","response":{"status_code":200,)"
              R"("request_id":"req_06c88f6f46b0473b","body":{"id":"chatcmpl-06c88f6f46b0473b",)"
              R"("object":"chat.completion","created":0,"model":"m \"1\"","choices":[{"index":0,)"
              "\"message\":{\"role\":\"assistant\",\"content\":\"h\xC3\xA9\\n\"},"
              R"("logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":5,)"
              R"("completion_tokens":2,"total_tokens":7}}},"error":null})");
}

TEST(AnswerLine, OfSeveralChoicesCountsThePromptOnce) {
    std::vector<Completion> choices{completion("x", Api::Completions, 0, 2),
                                    completion("y", Api::Completions, 1, 2)};
    choices[1].finish_reason = FinishReason::Length;
    choices[1].tokens = {7, 8};
    choices[1].logprobs_json = "{\"tokens\":[]}";
    choices[0].meta_json = "{\"k\":1.10}";
    const std::string line = answer_line(choices, OutputFormat::AsAsked);
    EXPECT_NE(line.find(R"("choices":[{"index":0,"text":"x","logprobs":null,"finish_reason":"stop"},)"
                        R"({"index":1,"text":"y","logprobs":{"tokens":[]},"finish_reason":"length",)"
                        R"("tokens":[7,8]}],"usage":{"prompt_tokens":5,"completion_tokens":4,)"
                        R"("total_tokens":9}}},"error":null,"meta":{"k":1.10}})"),
              std::string::npos)
        << line;
    EXPECT_NE(line.find("\"object\":\"text_completion\""), std::string::npos);
    EXPECT_NE(line.find("\"id\":\"cmpl-"), std::string::npos);
}

TEST(AnswerLine, OneFailedChoiceFailsTheResponse) {
    std::vector<Completion> choices{completion("x", Api::Chat, 0, 2), failed("nan_logits", Api::Chat)};
    const Json line = Json::parse(answer_line(choices, OutputFormat::AsAsked));
    EXPECT_EQ(line["response"]["status_code"], 500);
    EXPECT_EQ(line["response"]["body"]["error"]["type"], "server_error");
    const std::string bad = line_of(failed("bad_json", Api::Completions), OutputFormat::OpenAi);
    EXPECT_NE(bad.find(R"("status_code":400,)"), std::string::npos) << bad;
    EXPECT_NE(bad.find(R"("body":{"error":{"message":"f:1: a\\b\nc","type":"invalid_request_error",)"
                       R"("param":null,"code":"bad_json"}}},"error":null,"meta":[7]})"),
              std::string::npos)
        << bad;
}

TEST(AnswerLine, ANumberStaysANumberSoThatNoTwoRequestsAreOne) {
    Completion number = completion("x");
    number.id_json = "17";
    Completion text = completion("x");
    text.id_json = "\"17\"";
    const Json one = Json::parse(line_of(number, OutputFormat::OpenAi));
    const Json other = Json::parse(line_of(text, OutputFormat::OpenAi));
    EXPECT_EQ(one["custom_id"], 17);
    EXPECT_EQ(other["custom_id"], "17");
    EXPECT_NE(one["id"], other["id"]);
}

TEST(AnswerLine, OfTxtEscapesWhatWouldBreakIt) {
    EXPECT_EQ(line_of(completion("a\\n\r\n\\error x\xFF"), OutputFormat::Txt),
              "a\\\\n\\r\\n\\\\error x\xEF\xBF\xBD");
    EXPECT_EQ(line_of(completion(""), OutputFormat::Txt), "");
    EXPECT_EQ(line_of(failed("bad_json", Api::None), OutputFormat::Txt), "\\error bad_json f:1: a\\\\b\\nc");
    EXPECT_FALSE(line_of(completion("\\error x"), OutputFormat::Txt).starts_with(kTxtError));
}

TEST(Answered, ReadsBackWhatALineAnswers) {
    const auto read = [](const Completion& made, OutputFormat format) {
        return parse_answered(line_of(made, format)).value();
    };
    EXPECT_EQ(read(completion("x", Api::Chat, 1, 2), OutputFormat::Jsonl).key(), key_of("\"a\"", 1));
    EXPECT_EQ(read(completion("x", Api::Chat), OutputFormat::OpenAi).key(), "\"a\"");
    EXPECT_FALSE(read(completion("x", Api::Chat), OutputFormat::OpenAi).error.has_value());
    for (const OutputFormat format : {OutputFormat::Jsonl, OutputFormat::OpenAi}) {
        const RequestError error = *failed("duplicate_id", Api::Chat).error;
        EXPECT_EQ(read(failed("duplicate_id", Api::Chat), format).key(), key_of("\"a\"", error));
        EXPECT_NE(key_of("\"a\"", error), "\"a\"");
        EXPECT_EQ(read(failed("too_long", Api::Chat), format).key(), "\"a\"");
        EXPECT_EQ(read(failed("too_long", Api::Chat), format).error->code, "too_long");
    }
}

TEST(Answered, IsNothingOfAnotherLine) {
    for (const char* line :
         {R"({"custom_id":"a"})", R"({"custom_id":"a","response":{}})",
          R"({"custom_id":"a","response":null})",
          R"({"custom_id":"a","response":{"status_code":200,"body":[]}})",
          R"({"custom_id":"a","response":{"status_code":400,"body":{}}})",
          R"({"custom_id":"a","response":{"status_code":"200","body":{}}})",
          R"({"id":1,"index":-1,"completion":"","finish_reason":"stop"})",
          R"({"id":1,"index":9999999999,"completion":"","finish_reason":"stop"})", "[]", "17"})
        EXPECT_FALSE(parse_answered(line).has_value()) << line;
}

// ---- log-probabilities in an API's shape ----

const std::vector<PositionLogprobs> kPositions{
    {{0xE2, -0.5F}, {{'b', -0.25F}, {0xE2, -0.5F}}},
    {{'a', -std::numeric_limits<float>::infinity()}, {{'b', -1}, {'b', -2}}}};

TEST(ApiLogprobs, OfAChat) {
    EXPECT_EQ(logprobs_json(ByteTokenizer(), kPositions, Api::Chat),
              "{\"content\":[{\"token\":\"\xEF\xBF\xBD\",\"logprob\":-0.5,\"bytes\":[226],\"top_logprobs\":["
              "{\"token\":\"b\",\"logprob\":-0.25,\"bytes\":[98]},"
              "{\"token\":\"\xEF\xBF\xBD\",\"logprob\":-0.5,\"bytes\":[226]}]},"
              "{\"token\":\"a\",\"logprob\":-9999,\"bytes\":[97],\"top_logprobs\":["
              "{\"token\":\"b\",\"logprob\":-1,\"bytes\":[98]},"
              "{\"token\":\"b\",\"logprob\":-2,\"bytes\":[98]}]}],\"refusal\":null}");
}

TEST(ApiLogprobs, OfACompletion) {
    const std::vector<PositionLogprobs> more{kPositions[0], kPositions[1], {{300, -1}, {}}, {{'c', 0}, {}}};
    EXPECT_EQ(logprobs_json(ByteTokenizer(), more, Api::Completions),
              R"({"tokens":["bytes:\\xE2","a","<special>","c"],"token_logprobs":[-0.5,-9999,-1,0],)"
              R"("top_logprobs":[{"b":-0.25,"bytes:\\xE2":-0.5},{"b":-1},{},{}],"text_offset":[0,1,2,11]})");
}

TEST(ApiLogprobs, OfNoneAreOurOwn) {
    EXPECT_EQ(logprobs_json(ByteTokenizer(), kPositions, Api::None), to_json(ByteTokenizer(), kPositions));
}

}  // namespace
}  // namespace sluice
