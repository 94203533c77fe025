// Expected texts were compared with those of the models' own templates.
#include "text/chat_formats.hpp"

#include "text/chat_template.hpp"
#include "tokenizer_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace sluice {
namespace {

const std::vector<Message> kTalk = {
    {"system", "Be brief."}, {"user", " Hi "}, {"assistant", " Yo "}, {"user", "Bye"}};
const std::vector<Message> kQuestion = {{"user", "Hi"}};

std::string prompt(std::string_view format, const std::vector<Message>& messages) {
    const ChatFormat* found = find_chat_format(format);
    if (found == nullptr) return "no such format";
    return ChatTemplate(std::string(found->source)).prompt(messages, "<s>", "</s>");
}

TEST(ChatFormats, DeepSeekV2) {
    EXPECT_EQ(prompt("deepseek-v2", kTalk),
              "<s>Be brief.\n\nUser:  Hi \n\nAssistant:  Yo </s>User: Bye\n\nAssistant:");
    EXPECT_EQ(prompt("deepseek-v2", kQuestion), "<s>User: Hi\n\nAssistant:");
}

TEST(ChatFormats, DeepSeekV3) {
    EXPECT_EQ(prompt("deepseek-v3", kTalk),
              "<s>Be brief.<｜User｜> Hi <｜Assistant｜> Yo </s><｜User｜>Bye<｜Assistant｜>");
    EXPECT_EQ(prompt("deepseek-v3", kQuestion), "<s><｜User｜>Hi<｜Assistant｜>");
    EXPECT_EQ(prompt("deepseek-v3", {{"user", "1"},
                                     {"system", "A"},
                                     {"assistant", "<think>x</think>\n\n2"},
                                     {"system", "B"},
                                     {"user", "3"}}),
              "<s>A\n\nB<｜User｜>1<｜Assistant｜>\n\n2</s><｜User｜>3<｜Assistant｜>");
}

TEST(ChatFormats, Llama2) {
    EXPECT_EQ(prompt("llama-2", kTalk),
              "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Hi [/INST] Yo </s><s>[INST] Bye [/INST]");
    EXPECT_EQ(prompt("llama-2", kQuestion), "<s>[INST] Hi [/INST]");
}

TEST(ChatFormats, Llama3) {
    EXPECT_EQ(prompt("llama-3", kTalk),
              "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
              "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
              "<|start_header_id|>assistant<|end_header_id|>\n\nYo<|eot_id|>"
              "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
              "<|start_header_id|>assistant<|end_header_id|>\n\n");
}

TEST(ChatFormats, Mixtral) {
    EXPECT_EQ(prompt("mixtral", kTalk), "<s> [INST] Be brief.\n\n Hi  [/INST]  Yo </s> [INST] Bye [/INST]");
    EXPECT_EQ(prompt("mixtral", kQuestion), "<s> [INST] Hi [/INST]");
}

TEST(ChatFormats, ChatMl) {
    EXPECT_EQ(prompt("chatml", kTalk),
              "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi <|im_end|>\n"
              "<|im_start|>assistant\n Yo <|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
              "<|im_start|>assistant\n");
}

TEST(ChatFormats, FormatsOfAlternatingTurnsRefuseOthers) {
    for (const char* format : {"llama-2", "mixtral"}) {
        for (const std::vector<const char*>& roles :
             {std::vector<const char*>{"assistant", "user"}, {"user", "user"}, {"user", "system", "user"}}) {
            std::vector<Message> messages;
            for (const char* role : roles) messages.push_back({role, "a"});
            EXPECT_THROW(prompt(format, messages), TemplateRefusal) << format;
        }
    }
}

TEST(ChatFormats, ASystemMessageAloneIsRefused) {
    for (const char* format : {"llama-2", "mixtral"})
        EXPECT_THROW(prompt(format, {{"system", "a"}}), TemplateRefusal) << format;
}

TEST(ChatFormats, AContinuedMessageKeepsItsReasoning) {
    EXPECT_EQ(prompt("deepseek-v3", {{"user", "a"}, {"assistant", "<think>b</think>cd"}}),
              "<s><｜User｜>a<｜Assistant｜><think>b</think>cd");
}

TEST(ChatFormats, AllContinueAnAssistantsLastMessage) {
    for (const ChatFormat& format : chat_formats())
        EXPECT_THAT(prompt(format.name, {{"user", "a"}, {"assistant", "It is"}}), testing::EndsWith("It is"));
}

TEST(ChatFormats, NameTheTokensTheyWrite) {
    for (const ChatFormat& format : chat_formats()) {
        EXPECT_EQ(find_chat_format(format.name), &format);
        for (const std::string_view token : format.tokens)
            EXPECT_THAT(prompt(format.name, kTalk), testing::HasSubstr(std::string(token)));
        EXPECT_TRUE(format.end_of_turn.empty() || std::ranges::count(format.tokens, format.end_of_turn) == 1);
    }
    EXPECT_EQ(find_chat_format("template"), nullptr);
}

TEST(ChatFormats, TokensAreLookedUpInTheTokenizer) {
    const auto tokenizer = make_tokenizer(read_tokenizer_files(test_model()));
    EXPECT_EQ(tokenizer->id_of("<｜User｜>"), 2000);
    EXPECT_EQ(tokenizer->id_of("H"), 42);
    EXPECT_EQ(tokenizer->id_of("<|im_end|>"), std::nullopt);
    EXPECT_FALSE(tokenizer->begins_with_blank());
}

}  // namespace
}  // namespace sluice
