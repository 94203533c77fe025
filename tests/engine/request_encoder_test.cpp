// Tokens expected here are those that the tokenizer's own authors' library gives (data/goldens).
#include "engine/request_encoder.hpp"
#include "engine/last_encoding.hpp"

#include "core/json.hpp"
#include "text/chat_formats.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace sluice {
namespace {

constexpr Token kBos = 0, kEos = 1, kUser = 2000, kAssistant = 2001;  // of tokenizer.json's added_tokens
const std::vector<Token> kHello{42, 419, 81, 14, 874, 3};             // "Hello, world!"

std::filesystem::path data() { return SLUICE_TEST_DATA; }

std::vector<Token> joined(std::initializer_list<std::vector<Token>> parts) {
    std::vector<Token> all;
    for (const std::vector<Token>& part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
}

Request request(std::variant<std::string, std::vector<Message>, std::vector<Token>> input) {
    return {"a", "\"a\"", "prompts.jsonl:1", std::move(input), {}, ""};
}
Request prompt(const std::string& text) { return request(text); }
Request tokens(std::vector<Token> list) { return request(std::move(list)); }
Request chat(std::vector<Message> messages) { return request(std::move(messages)); }

class RequestEncoderTest : public testing::Test {
protected:
    RequestEncoderTest() : files_(read_tokenizer_files(data() / "models/deepseek-v3-tiny")) {}

    std::variant<std::vector<Token>, RequestError> encode(const Request& what) const {
        const auto tokenizer = make_tokenizer(files_);
        return RequestEncoder(*tokenizer, chat_template_of(files_), options_).encode(what);
    }
    std::vector<Token> tokens_of(const Request& what) const {
        auto encoded = encode(what);
        if (const auto* error = std::get_if<RequestError>(&encoded)) {
            ADD_FAILURE() << error->code << ": " << error->message;
            return {};
        }
        return std::get<std::vector<Token>>(encoded);
    }
    RequestError error_of(const Request& what) const {
        auto encoded = encode(what);
        const auto* error = std::get_if<RequestError>(&encoded);
        return error != nullptr ? *error : RequestError{"none", ""};
    }
    // Changes a key of tokenizer_config.json; null removes it.
    void configure(const std::string& key, const Json& value) {
        std::string& text = files_.files.at("tokenizer_config.json");
        Json config = Json::parse(text);
        config[key] = value;
        if (value.is_null()) config.erase(key);
        text = config.dump();
    }

    TokenizerFiles files_;
    EncodeOptions options_{false, "", 2048, 1000};
};

TEST_F(RequestEncoderTest, APlainPromptBeginsWithOneBos) {
    EXPECT_EQ(tokens_of(prompt("Hello, world!")), joined({{kBos}, kHello}));
    EXPECT_EQ(tokens_of(prompt("<｜begin▁of▁sentence｜>Hello, world!")), joined({{kBos}, kHello}));
    EXPECT_EQ(tokens_of(prompt("")), std::vector<Token>{kBos});
}

TEST_F(RequestEncoderTest, NoBosWhereTheTokenizerWantsNone) {
    configure("add_bos_token", false);
    EXPECT_EQ(tokens_of(prompt("Hello, world!")), kHello);
    EXPECT_EQ(error_of(prompt("")).code, "empty_prompt");
}

TEST_F(RequestEncoderTest, MessagesGoThroughTheTemplate) {
    EXPECT_EQ(tokens_of(chat({{"user", "Hello, world!"}})), joined({{kBos, kUser}, kHello, {kAssistant}}));
    EXPECT_EQ(tokens_of(chat({{"user", "a"}, {"assistant", "Hello, world!"}, {"user", "a"}})),
              joined({{kBos, kUser, 67, kAssistant}, kHello, {kEos, kUser, 67, kAssistant}}));
}

TEST_F(RequestEncoderTest, OnlyTheTemplatePutsBosBeforeAConversation) {
    configure("chat_template", "{{ messages[0].content }}");
    EXPECT_EQ(tokens_of(chat({{"user", "Hello, world!"}})), kHello);
    EXPECT_EQ(tokens_of(prompt("Hello, world!")), joined({{kBos}, kHello}));
    configure("chat_template", "{{ bos_token + messages[0].content }}");
    EXPECT_EQ(tokens_of(chat({{"user", "Hello, world!"}})), joined({{kBos}, kHello}));
}

TEST_F(RequestEncoderTest, AnAssistantsLastMessageIsContinued) {
    EXPECT_EQ(tokens_of(chat({{"user", "a"}, {"assistant", "Hello, world!"}})),
              joined({{kBos, kUser, 67, kAssistant}, kHello}));
}

TEST_F(RequestEncoderTest, ChatMakesAPromptAUsersMessage) {
    options_.chat = true;
    EXPECT_EQ(tokens_of(prompt("Hello, world!")), joined({{kBos, kUser}, kHello, {kAssistant}}));
    EXPECT_EQ(tokens_of(tokens({5, 6})), (std::vector<Token>{5, 6})) << "tokens stay as they are";
}

TEST_F(RequestEncoderTest, TheSystemMessageOpensConversationsWithoutOne) {
    options_.system = "Hello, world!";
    const std::vector<Token> with_system = joined({{kBos}, kHello, {kUser, 67, kAssistant}});
    EXPECT_EQ(tokens_of(chat({{"user", "a"}})), with_system);
    EXPECT_EQ(tokens_of(chat({{"system", "a"}, {"user", "a"}})),
              (std::vector<Token>{kBos, 67, kUser, 67, kAssistant}))
        << "the conversation's own stays";
    EXPECT_EQ(tokens_of(prompt("a")), (std::vector<Token>{kBos, 67})) << "a plain prompt has none";
    options_.chat = true;
    EXPECT_EQ(tokens_of(prompt("a")), with_system);
}

TEST_F(RequestEncoderTest, TheSystemMessageIsTheFirst) {
    configure("chat_template", "{% for m in messages %}{{ m['role'] }} {% endfor %}");
    configure("add_bos_token", false);
    options_.system = "Be brief.";
    const std::vector<Token> inserted = tokens_of(chat({{"assistant", "a"}, {"user", "a"}}));
    options_.system = "";
    EXPECT_EQ(inserted, tokens_of(prompt("system assistant user ")));
    options_.system = "Be brief.";
    EXPECT_EQ(tokens_of(chat({{"user", "a"}, {"system", "b"}})), tokens_of(prompt("user system ")));
}

TEST_F(RequestEncoderTest, TokensAreTakenAsTheyAre) {
    EXPECT_EQ(tokens_of(tokens({5, kBos, 2047, kEos})), (std::vector<Token>{5, kBos, 2047, kEos}));
    EXPECT_EQ(error_of(tokens({})).code, "empty_prompt");
}

TEST_F(RequestEncoderTest, TokensMustBeInTheModelsVocabulary) {
    EXPECT_EQ(tokens_of(tokens({0, 2047})).size(), 2U);
    for (const Token token : {2048, -1, 2147483647}) {
        const RequestError error = error_of(tokens({7, token}));
        EXPECT_EQ(error.code, "token_out_of_range");
        EXPECT_NE(error.message.find("token " + std::to_string(token) + " "), std::string::npos)
            << error.message;
        EXPECT_NE(error.message.find("2048"), std::string::npos) << error.message;
    }
    options_.vocabulary = 800;
    EXPECT_EQ(error_of(prompt("Hello, world!")).code, "token_out_of_range") << "874 of \"world\"";
}

TEST_F(RequestEncoderTest, APromptLeavesRoomForOneToken) {
    options_.longest = 8;
    EXPECT_EQ(tokens_of(tokens(std::vector<Token>(7, 5))).size(), 7U);
    const RequestError error = error_of(tokens(std::vector<Token>(8, 5)));
    EXPECT_EQ(error.code, "too_long");
    EXPECT_NE(error.message.find("8 tokens"), std::string::npos) << error.message;
    EXPECT_NE(error.message.find("--max-seq-len"), std::string::npos) << error.message;
    EXPECT_EQ(tokens_of(prompt("Hello, world!")).size(), 7U) << "BOS counts";
    options_.longest = 7;
    EXPECT_EQ(error_of(prompt("Hello, world!")).code, "too_long");
}

TEST_F(RequestEncoderTest, WhatTheTemplateRefusesIsAnError) {
    configure("chat_template", "{{ raise_exception('roles must alternate') }}");
    const RequestError error = error_of(chat({{"user", "a"}}));
    EXPECT_EQ(error.code, "template_refused");
    EXPECT_EQ(error.message, "roles must alternate");
    EXPECT_EQ(tokens_of(prompt("a")), (std::vector<Token>{kBos, 67})) << "plain prompts do not meet it";
}

TEST_F(RequestEncoderTest, MessagesNeedATemplate) {
    configure("chat_template", nullptr);
    const RequestError error = error_of(chat({{"user", "a"}}));
    EXPECT_EQ(error.code, "no_chat_template");
    for (const char* words : {"--chat-format", "deepseek-v2", "chatml"})
        EXPECT_NE(error.message.find(words), std::string::npos) << error.message;
    EXPECT_EQ(tokens_of(prompt("a")), (std::vector<Token>{kBos, 67}));
    options_.chat = true;
    EXPECT_EQ(error_of(prompt("a")).code, "no_chat_template");
}

// Each section between bos and eos as the SentencePiece library encodes it alone, blank at its front.
class SectionsTest : public testing::Test {
protected:
    static std::vector<Token> tokens_of(const std::string& model, const std::string& format,
                                        const std::vector<Message>& messages) {
        const TokenizerFiles files = read_tokenizer_files(data() / "models" / model);
        const auto tokenizer = make_tokenizer(files);
        const RequestEncoder encoder(*tokenizer, open_chat(files, find_chat_format(format)),
                                     {false, "", 2048, 1000});
        const auto encoded = encoder.encode(chat(messages));
        if (const auto* error = std::get_if<RequestError>(&encoded)) {
            ADD_FAILURE() << error->code << ": " << error->message;
            return {};
        }
        return std::get<std::vector<Token>>(encoded);
    }
    const std::vector<Message> turns_{{"user", "ROMEO"}, {"assistant", "Yes"}, {"user", "Why?"}};
};

TEST_F(SectionsTest, WhatFollowsBosBeginsWithOneBlank) {
    const std::vector<Token> golden{1, 458, 459, 1012, 857, 613, 459, 1012};
    EXPECT_EQ(tokens_of("llama-tiny", "", {{"user", "ROMEO"}}), golden) << "its own template: no blank";
    EXPECT_EQ(tokens_of("llama-tiny", "mixtral", {{"user", "ROMEO"}}), golden) << "a blank of the template's";
}

TEST_F(SectionsTest, LaterTurnsBeginLikeTheFirst) {
    EXPECT_EQ(tokens_of("llama-tiny", "llama-2", turns_),
              (std::vector<Token>{1, 458, 459, 1012, 857,  613, 459,  1012, 393, 286, 957,
                                  2, 1,   458, 459,  1012, 671, 1001, 613,  459, 1012}));
    EXPECT_EQ(tokens_of("llama-tiny", "mixtral", turns_),
              (std::vector<Token>{1, 458, 459, 1012, 857, 613, 459, 1012, 393, 286, 2, 458, 459, 1012, 671,
                                  1001, 613, 459, 1012}));
}

TEST_F(SectionsTest, AModelAloneKnowsItsControlPieces) {
    EXPECT_EQ(tokens_of("grok-tiny", "mixtral", turns_),
              (std::vector<Token>{1,   965, 116, 390,  999, 993, 118, 868, 965, 116, 72,
                                  390, 999, 993, 118,  414, 307, 2,   965, 116, 390, 999,
                                  993, 118, 687, 1008, 965, 116, 72,  390, 999, 993, 118}));
}

TEST_F(SectionsTest, NamesInAMessageAreTheTokens) {
    EXPECT_EQ(tokens_of("llama-tiny", "mixtral", {{"user", "a</s>b"}}),
              (std::vector<Token>{1, 458, 459, 1012, 261, 2, 271, 613, 459, 1012}));
    EXPECT_EQ(tokens_of("llama-tiny", "mixtral", {{"user", "a</s> b"}}),
              (std::vector<Token>{1, 458, 459, 1012, 261, 2, 271, 613, 459, 1012}));
}

TEST_F(RequestEncoderTest, TextThatIsNotUtf8IsAnError) {
    EXPECT_EQ(error_of(prompt("a\xff")).code, "not_tokenized");
    EXPECT_EQ(error_of(chat({{"user", "\xc3"}})).code, "not_tokenized");
}

// What another encoder would say shows that nothing is encoded again.
TEST_F(RequestEncoderTest, AnInputThatFollowsItselfIsEncodedOnce) {
    const auto tokenizer = make_tokenizer(files_);
    const RequestEncoder encoder(*tokenizer, chat_template_of(files_), options_);
    const RequestEncoder refusing(*tokenizer, chat_template_of(files_), {false, "", 2048, 0});
    LastEncoding last;
    const std::vector<Request> inputs = {prompt("Hello, world!"),
                                         chat({{"user", "Hello, world!"}}),
                                         chat({{"assistant", "Hello, world!"}}),
                                         chat({{"user", "Hello"}}),
                                         tokens({5, 6, 7}),
                                         prompt("")};
    for (const Request& input : inputs) {
        Request asked = input;
        const Encoded first = last.of(encoder, asked);
        EXPECT_EQ(std::get<std::vector<Token>>(first), tokens_of(input));
        EXPECT_TRUE(std::get<std::string>(asked.input).empty()) << "it is taken";
        Request again = input;
        EXPECT_EQ(std::get<std::vector<Token>>(last.of(refusing, again)), tokens_of(input));
    }
}

}  // namespace
}  // namespace sluice
