// Expected ids in data/rank_file_cases.json were written by tiktoken 0.14.
#include "text/rank_file.hpp"

#include "core/error.hpp"
#include "tokenizer_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Json& cases() {
    static const Json all = text_cases("rank_file_cases.json");
    return all;
}

std::string rank_file() {
    std::string text;
    for (std::size_t rank = 0; rank < cases()["ranks"].size(); ++rank)
        text += cases()["ranks"][rank].get<std::string>() + " " + std::to_string(rank) + "\n";
    return text;
}

TokenizerFiles files(const std::string& model, const Json& config = Json()) {
    TokenizerFiles result{{{"tokenizer.model", model}}};
    if (!config.is_null()) result.files["tokenizer_config.json"] = config.dump();
    return result;
}

std::string refusal(const TokenizerFiles& given) {
    try {
        make_tokenizer(given);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::Checkpoint);
        return error.what();
    }
    return "accepted";
}

TEST(RankFile, AgreesWithTiktoken) {
    const auto tokenizer = make_tokenizer(files(rank_file()));
    for (const Json& item : cases()["cases"]) {
        const auto ids = item["ids"].get<std::vector<Token>>();
        EXPECT_EQ(tokenizer->encode(item["text"].get<std::string>()), ids) << item["text"];
        EXPECT_EQ(decode(*tokenizer, ids, false), item["decoded"]) << item["text"];
        EXPECT_EQ(item["decoded"], item["text"]);
    }
}

TEST(RankFile, TheSpecialTokensFollow) {
    const auto tokenizer = make_tokenizer(files(rank_file()));
    const auto first = static_cast<Token>(cases()["ranks"].size());
    EXPECT_EQ(tokenizer->vocab_size(), first + 256);
    EXPECT_EQ(tokenizer->special().bos, first);
    EXPECT_TRUE(tokenizer->special().add_bos);
    EXPECT_THAT(tokenizer->special().eos, ElementsAre(first + 1, first + 8, first + 9));
    EXPECT_EQ(tokenizer->special().eos_text, "<|end_of_text|>");
    EXPECT_TRUE(tokenizer->is_special(first + 9));
    EXPECT_EQ(tokenizer->bytes_of(first + 9), "<|eot_id|>");
    EXPECT_EQ(tokenizer->bytes_of(first + 255), "<|reserved_special_token_245|>");
}

TEST(RankFile, TokenizerConfigNamesThemFirst) {
    const auto first = static_cast<Token>(cases()["ranks"].size());
    const Json config = {{"added_tokens_decoder",
                          {{std::to_string(first), {{"content", "<go>"}, {"special", true}}},
                           {std::to_string(first + 1), {{"content", "<stop>"}, {"special", true}}}}},
                         {"bos_token", "<go>"},
                         {"eos_token", "<stop>"}};
    const auto tokenizer = make_tokenizer(files(rank_file(), config));
    EXPECT_EQ(tokenizer->vocab_size(), first + 2);
    EXPECT_THAT(tokenizer->encode("<go><stop>"), ElementsAre(first, first + 1));
    EXPECT_THAT(tokenizer->special().eos, ElementsAre(first + 1));
    EXPECT_THAT(refusal(files(rank_file(), {{"added_tokens_decoder", {{"5", {{"content", "<x>"}}}}}})),
                HasSubstr("the id 5"));
}

TEST(RankFile, TellsItselfByItsFirstLine) {
    EXPECT_TRUE(is_rank_file("IQ== 0\nIg== 1\n"));
    EXPECT_TRUE(is_rank_file("IQ== 0\r\n"));
    for (const char* text : {"", "\n", "IQ==", "IQ= 0", "IQ== 0 ", "IQ== -1", " 0", "I Q 0", "\x0A\x0B\x0A"})
        EXPECT_FALSE(is_rank_file(text)) << text;
}

TEST(RankFile, OrderOfLinesDoesNotCount) {
    EXPECT_THAT(read_rank_file("YmM= 1\r\nYQ== 0", "t"), ElementsAre("a", "bc"));
}

TEST(RankFile, RefusesWhatIsWrongWithItsLine) {
    const std::string good = rank_file();
    EXPECT_THAT(refusal(files(good + "IQ== x\n")), HasSubstr("tokenizer.model:587"));
    EXPECT_THAT(refusal(files(good.substr(0, good.size() - 6))), HasSubstr("tokenizer.model:586"));
    EXPECT_THAT(refusal(files(good + "QUFBQUFBQUFBQQ== 5\n")), HasSubstr("the rank 5 stands twice"));
    EXPECT_THAT(refusal(files(good + "QUFBQUFBQUFBQQ== 900\n")), HasSubstr("the rank 900 is too high"));
    EXPECT_THAT(refusal(files(good + "IQ== 586\n")), HasSubstr("stands twice"));
    EXPECT_THAT(refusal(files("YQ== 0\n")), HasSubstr("no token for the byte 0x00"));
    std::string longest;
    for (int i = 0; i < 400; ++i) longest += "QUFB";
    EXPECT_THAT(refusal(files(good + longest + " 586\n")), HasSubstr("a token of 1200 bytes"));
}

}  // namespace
}  // namespace sluice
