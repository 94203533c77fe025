// Expected ids and texts in tests/*/data and goldens were written by Hugging Face's tokenizers 0.23.
#include "text/tokenizer.hpp"

#include "core/error.hpp"
#include "text/regex.hpp"
#include "text/utf8_decode.hpp"
#include "tokenizer_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <thread>

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Json base_file() { return test_json(test_model() / "tokenizer.json"); }

const Tokenizer& base_tokenizer() {
    static const std::unique_ptr<Tokenizer> tokenizer = make_tokenizer(read_tokenizer_files(test_model()));
    return *tokenizer;
}

void expect_cases(const Tokenizer& tokenizer, const Json& cases) {
    ASSERT_FALSE(cases.empty());
    for (const Json& item : cases) {
        const std::string text = item["text"];
        const auto ids = item["ids"].get<std::vector<Token>>();
        EXPECT_EQ(tokenizer.encode(text), ids) << "text: " << item["text"];
        EXPECT_EQ(decode(tokenizer, ids, false), item["decoded"].get<std::string>())
            << "text: " << item["text"];
    }
}

// The message of the error that make_tokenizer raises for these files.
std::string refusal(const TokenizerFiles& files) {
    try {
        make_tokenizer(files);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::Checkpoint);
        return error.what();
    }
    ADD_FAILURE() << "the tokenizer was accepted";
    return {};
}

std::string refusal_of(const std::function<void(Json&)>& damage) {
    Json file = base_file();
    damage(file);
    return refusal(files_of(file));
}

TEST(Tokenizer, AgreesWithTheGoldens) {
    const std::filesystem::path goldens = std::filesystem::path(SLUICE_TEST_DATA) / "goldens";
    expect_cases(base_tokenizer(), test_json(goldens / "deepseek-v3-tiny" / "tokenizer_cases.json"));
    const auto v2 = make_tokenizer(
        read_tokenizer_files(std::filesystem::path(SLUICE_TEST_DATA) / "models" / "deepseek-v2-tiny"));
    expect_cases(*v2, test_json(goldens / "deepseek-v2-tiny" / "tokenizer_cases.json"));
}

TEST(Tokenizer, AgreesOnHardText) { expect_cases(base_tokenizer(), text_cases("tokenizer_hard_cases.json")); }

TEST(Tokenizer, DecodesAnyIds) {
    for (const Json& item : text_cases("decoder_cases.json")) {
        const auto ids = item["ids"].get<std::vector<Token>>();
        EXPECT_EQ(decode(base_tokenizer(), ids, false), item["decoded"].get<std::string>());
        EXPECT_EQ(decode(base_tokenizer(), ids, true), item["decoded_without_special"].get<std::string>());
    }
}

// Other pre-tokenizers, added tokens' flags, merges written as pairs, ignore_merges.
TEST(Tokenizer, AgreesOnVariants) {
    for (const Json& variant : text_cases("tokenizer_variants.json")) {
        SCOPED_TRACE(variant["name"].get<std::string>());
        Json file = base_file();
        for (const auto& [key, value] : variant["replace"].items()) {
            if (key == "model") {
                file[key].update(value);
            } else {
                file[key] = value;
            }
        }
        if (variant["merges_as_pairs"]) {
            for (Json& merge : file["model"]["merges"]) {
                const std::string text = merge;
                const std::size_t blank = text.find(' ');
                merge = Json::array({text.substr(0, blank), text.substr(blank + 1)});
            }
        }
        expect_cases(*make_tokenizer(files_of(file)), variant["cases"]);
    }
}

TEST(Tokenizer, MergesTheLowestRankFirstThenTheLeftmost) {
    Json file = base_file();
    Json& model = file["model"];
    Token next = 3000;
    for (const char* spelling : {"xy", "yz", "xyz", "yx", "yxy"}) model["vocab"][spelling] = next++;
    model["merges"] = {"y z", "x y", "x yz", "y x", "yx y"};
    const auto tokenizer = make_tokenizer(files_of(file));
    EXPECT_THAT(tokenizer->encode("xyz"), ElementsAre(3002));  // y z before x y
    EXPECT_THAT(tokenizer->encode("yxyx"),
                ElementsAre(model["vocab"]["y"].get<Token>(), 3000, model["vocab"]["x"].get<Token>()));
    model["merges"] = {"y x", "x y", "y z", "x yz", "yx y"};
    EXPECT_THAT(make_tokenizer(files_of(file))->encode("yxyx"), ElementsAre(3003, 3003));  // not yxy x
}

TEST(Tokenizer, DecodingUndoesEncoding) {
    std::mt19937 random(10);
    for (int round = 0; round < 2000; ++round) {
        std::string text;
        for (auto n = random() % 30; n > 0; --n) {
            static constexpr std::string_view kPlain = "   the and'll\n\t\r12";
            char32_t c = random() % 2 == 0
                             ? static_cast<unsigned char>(kPlain[random() % kPlain.size()])
                             : static_cast<char32_t>(random() % (random() % 2 == 0 ? 0x250 : 0x110000));
            append_utf8(c >= 0xD800 && c < 0xE000 ? U'\u00E9' : c, text);
        }
        EXPECT_EQ(decode(base_tokenizer(), base_tokenizer().encode(text), false), text) << Json(text);
    }
}

TEST(Tokenizer, LongTextsAreNotQuadratic) {
    Json file = base_file();
    Token next = 3000;
    std::string run = "a";
    file["model"]["merges"] = Json::array();
    for (int k = 0; k < 10; ++k) {
        file["model"]["merges"].push_back(run + " " + run);
        run += run;
        if (!file["model"]["vocab"].contains(run)) file["model"]["vocab"][run] = next++;
    }
    const auto tokenizer = make_tokenizer(files_of(file));
    const std::size_t pieces = 10'000;
    const Token longest = file["model"]["vocab"][run];
    const std::vector<Token> ids = tokenizer->encode(std::string(pieces * 1024, 'a'));
    EXPECT_EQ(ids, std::vector<Token>(pieces, longest));
    const std::string blanks(1'000'000, ' ');
    EXPECT_EQ(decode(*tokenizer, tokenizer->encode(blanks), false), blanks);
    EXPECT_EQ(decode(*tokenizer, tokenizer->encode(blanks + "x"), false), blanks + "x");
}

TEST(Tokenizer, SaysSoWhenARegularExpressionNeedsTooManySteps) {
    Json file = base_file();
    file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(?:a|aa)+[bd]";
    const auto tokenizer = make_tokenizer(files_of(file));
    try {
        tokenizer->encode(std::string(5000, 'a') + "c");
        FAIL() << "the text was accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::File);
        EXPECT_THAT(error.what(), HasSubstr("defeats the tokenizer's regular expression"));
    }
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8) {
    EXPECT_THROW(base_tokenizer().encode("ab\xC3"), Error);
    EXPECT_THROW(base_tokenizer().encode("\xED\xA0\x80"), Error);
}

TEST(Tokenizer, ThreadsMayShareIt) {
    const std::string text = "Hello, world! 1234567 \xE6\xBC\xA2\xE5\xAD\x97";
    const std::vector<Token> expected = base_tokenizer().encode(text);
    std::vector<std::thread> threads;
    std::vector<int> wrong(4, 0);
    for (std::size_t t = 0; t < wrong.size(); ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 300; ++i) wrong[t] += base_tokenizer().encode(text) != expected ? 1 : 0;
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_THAT(wrong, testing::Each(0));
}

TEST(Tokenizer, KnowsItsTokens) {
    const Tokenizer& tokenizer = base_tokenizer();
    EXPECT_EQ(tokenizer.vocab_size(), 2002);
    EXPECT_EQ(tokenizer.bytes_of(3), "!");
    EXPECT_EQ(tokenizer.bytes_of(223), " ");
    EXPECT_EQ(tokenizer.bytes_of(-1), "");
    EXPECT_EQ(tokenizer.bytes_of(2002), "");
    EXPECT_TRUE(tokenizer.is_special(1));
    EXPECT_FALSE(tokenizer.is_special(2000));  // an added token, but not a special one
    EXPECT_FALSE(tokenizer.is_special(70));
    EXPECT_EQ(tokenizer.special().bos, 0);
    EXPECT_THAT(tokenizer.special().eos, ElementsAre(1));
    EXPECT_THAT(tokenizer.special().bos_text, HasSubstr("begin"));
    EXPECT_TRUE(tokenizer.special().add_bos);
}

TEST(Tokenizer, EosIdsOfGenerationConfigCount) {
    const Json config = {{"bos_token", "!"}, {"eos_token", "#"}};
    const auto listed = make_tokenizer(files_of(base_file(), config, {{"eos_token_id", {9, 7}}}));
    EXPECT_THAT(listed->special().eos, ElementsAre(7, 9));
    EXPECT_TRUE(listed->is_special(9));
    const auto unlisted = make_tokenizer(files_of(base_file(), config, {{"eos_token_id", nullptr}}));
    EXPECT_THAT(unlisted->special().eos, ElementsAre(5));
    EXPECT_FALSE(unlisted->special().add_bos);
    EXPECT_THAT(refusal(files_of(base_file(), Json(), {{"eos_token_id", "x"}})), HasSubstr("eos_token_id"));
}

TEST(Tokenizer, ATemplateThatBeginsWithBosAddsIt) {
    Json file = base_file();
    file["post_processor"] = {{"type", "TemplateProcessing"},
                              {"single", {{{"SpecialToken", {{"id", "!"}, {"type_id", 0}}}}}}};
    EXPECT_TRUE(make_tokenizer(files_of(file, {{"bos_token", "!"}}))->special().add_bos);
    EXPECT_FALSE(make_tokenizer(files_of(file, {{"bos_token", "#"}}))->special().add_bos);
    const Json off = {{"bos_token", "!"}, {"add_bos_token", false}};
    EXPECT_FALSE(make_tokenizer(files_of(file, off))->special().add_bos);
}

TEST(Tokenizer, RefusesWhatIsMissingOrWrong) {
    EXPECT_THAT(refusal({}), HasSubstr("no tokenizer.json and no tokenizer.model in the checkpoint"));
    EXPECT_THAT(refusal({{{"tokenizer.json", "{"}}}), HasSubstr("not valid JSON"));
    EXPECT_THAT(refusal(files_of(Json::array())), HasSubstr("model is missing"));
    EXPECT_THAT(refusal_of([](Json& f) { f["model"].erase("vocab"); }), HasSubstr("model.vocab is missing"));
    EXPECT_THAT(refusal_of([](Json& f) { f["model"]["vocab"] = 3; }),
                HasSubstr("model.vocab is not an object"));
    EXPECT_THAT(refusal_of([](Json& f) { f["model"]["merges"] = 3; }),
                HasSubstr("model.merges is not a list"));
    EXPECT_THAT(refusal_of([](Json& f) { f["model"]["merges"].push_back("zq qz"); }), HasSubstr("\"zq\""));
    EXPECT_THAT(refusal_of([](Json& f) { f["model"]["merges"].push_back("a b c"); }), HasSubstr("a b c"));
    EXPECT_THAT(refusal_of([](Json& f) { f["model"]["vocab"]["zq"] = -1; }), HasSubstr("the id -1"));
    EXPECT_THAT(refusal_of([](Json& f) { f["model"]["vocab"]["zq"] = 2000000000; }),
                HasSubstr("the id 2000000000"));
    EXPECT_THAT(refusal_of([](Json& f) { f["model"]["vocab"]["zq"] = 5; }), HasSubstr("the id 5 twice"));
    EXPECT_THAT(refusal_of([](Json& f) { f["model"]["vocab"].erase("!"); }), HasSubstr("byte 0x21"));
    EXPECT_THAT(refusal_of([](Json& f) { f["added_tokens"][4]["id"] = 2000; }), HasSubstr("belongs to"));
    EXPECT_THAT(refusal_of([](Json& f) { f["added_tokens"][0]["id"] = 2500; }), HasSubstr("not its id"));
    EXPECT_THAT(refusal_of([](Json& f) { f["added_tokens"][3].erase("id"); }), HasSubstr("tokenizer.json"));
    EXPECT_THAT(refusal(files_of(base_file(), {{"bos_token", "<nowhere>"}})), HasSubstr("<nowhere>"));
}

TEST(Tokenizer, RefusesComponentsByName) {
    EXPECT_THAT(refusal_of([](Json& f) { f["model"]["type"] = "Unigram"; }), HasSubstr("Unigram"));
    EXPECT_THAT(refusal_of([](Json& f) { f["normalizer"] = {{"type", "NFC"}}; }), HasSubstr("NFC"));
    EXPECT_THAT(refusal_of([](Json& f) {
                    f["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "Prepend"}}}}};
                }),
                HasSubstr("Prepend"));
    EXPECT_THAT(refusal_of([](Json& f) {
                    f["pre_tokenizer"] = {{"type", "Metaspace"}};
                }),
                HasSubstr("Metaspace"));
    EXPECT_THAT(refusal_of([](Json& f) { f["pre_tokenizer"] = nullptr; }), HasSubstr("no pre_tokenizer"));
    EXPECT_THAT(refusal_of([](Json& f) { f["pre_tokenizer"]["pretokenizers"].erase(3); }),
                HasSubstr("no ByteLevel"));
    EXPECT_THAT(refusal_of([](Json& f) { f["decoder"] = {{"type", "Fuse"}}; }), HasSubstr("Fuse"));
    EXPECT_THAT(refusal_of([](Json& f) { f["model"]["end_of_word_suffix"] = "</w>"; }),
                HasSubstr("end_of_word_suffix"));
}

TEST(Tokenizer, RefusesAFolderWithoutATokenizer) {
    EXPECT_THROW(read_tokenizer_files(std::filesystem::path(SLUICE_TEST_DATA) / "goldens"), Error);
}

TEST(RegexSyntax, RewritesWhatTheTwoEnginesReadDifferently) {
    EXPECT_EQ(pcre_from_oniguruma(R"(a\vb\u0041{,3})", "t"), R"(a\x{b}b\x{0041}{0,3})");
    EXPECT_EQ(pcre_from_oniguruma(R"(\s)", "t"), "[" + std::string(kWhiteSpaceClass) + "]");
    EXPECT_EQ(pcre_from_oniguruma(R"([\s-x])", "t"), "[" + std::string(kWhiteSpaceClass) + "\\-x]");
    EXPECT_EQ(pcre_from_oniguruma(R"(\p{Thai}\P{Lt})", "t"), R"([\p{sc:Thai}][^\p{Lt}])");
}

TEST(RegexSyntax, RefusesTheRest) {
    for (const char* pattern : {R"(\h)",  R"(\b)",           R"(\R)", R"(\k<a>)", R"(\1)",  "(?<a>b)",
                                "(?m:.)", "a(?i)b",          "(*F)",  "[a[bc]]",  "[a&&b]", "[]",
                                "[a",     R"([\S])",         "a{2}+", "a{2}?",    R"(\p{)", R"(\x80)",
                                "\\",     R"(\p{Nonsense})", "(a"}) {
        EXPECT_THROW(Regex::from_oniguruma(pattern, "t"), Error) << pattern;
    }
}

}  // namespace
}  // namespace sluice
