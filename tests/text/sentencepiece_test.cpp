// Expected ids and texts in data/sentencepiece_cases.json were written by the SentencePiece library 0.1.97
// ("library") and by LlamaTokenizer of transformers 4.46 ("named").
#include "core/error.hpp"
#include "text/detokenizer.hpp"
#include "text/sentencepiece_file.hpp"
#include "text/token_logprobs.hpp"
#include "text/utf8.hpp"
#include "text/utf8_decode.hpp"
#include "tokenizer_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = SentencePieceFile::Kind;

std::filesystem::path model_folder(const std::string& name) {
    return std::filesystem::path(SLUICE_TEST_DATA) / "models" / name;
}

std::string model_bytes(const std::string& name) {
    return read_file(model_folder(name) / "tokenizer.model", ExitCode::File);
}

TokenizerFiles bare(const std::string& model) { return {{{"tokenizer.model", model}}}; }

const Json& cases() {
    static const Json all = text_cases("sentencepiece_cases.json");
    return all;
}

std::string from_hex(const std::string& hex) {
    std::string bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2)
        bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return bytes;
}

TEST(SentencePiece, AgreesWithTheGoldens) {
    const auto plays = make_tokenizer(read_tokenizer_files(model_folder("llama-tiny")));
    const auto goldens = std::filesystem::path(SLUICE_TEST_DATA) / "goldens" / "llama-tiny";
    for (const Json& item : test_json(goldens / "tokenizer_cases.json")) {
        const auto ids = item["ids"].get<std::vector<Token>>();
        EXPECT_EQ(plays->encode(item["text"].get<std::string>()), ids) << item["text"];
        EXPECT_EQ(decode(*plays, ids, false), item["decoded"]) << item["text"];
    }
    const auto tiny = make_tokenizer(read_tokenizer_files(model_folder("grok-tiny")));
    const Json golden = test_json(model_folder("grok-tiny") / "tokenizer-goldens.json");
    ASSERT_FALSE(golden["cases"].empty());
    for (const Json& item : golden["cases"]) {
        const auto ids = item["ids"].get<std::vector<Token>>();
        EXPECT_EQ(tiny->encode(item["text"].get<std::string>()), ids) << item["text"];
        EXPECT_EQ(decode(*tiny, ids, false), item["decoded"]) << item["text"];
    }
}

// With the model's options changed as well: what is appended to a protobuf message overrides it.
TEST(SentencePiece, AgreesWithTheLibrary) {
    for (const Json& variant : cases()["library"]) {
        SCOPED_TRACE(variant["model"].get<std::string>() + ", " + variant["name"].get<std::string>());
        const auto tokenizer = make_tokenizer(
            bare(model_bytes(variant["model"]) + from_hex(variant["append"].get<std::string>())));
        for (std::size_t i = 0; i < variant["texts"].size(); ++i) {
            const std::string text = cases()["texts"][variant["texts"][i].get<std::size_t>()];
            EXPECT_EQ(tokenizer->encode(text), variant["ids"][i].get<std::vector<Token>>()) << Json(text);
        }
        for (const Json& item : variant["decode"]) {
            const auto ids = item["ids"].get<std::vector<Token>>();
            EXPECT_EQ(decode(*tokenizer, ids, false), item["text"]) << item["ids"];
        }
    }
}

TEST(SentencePiece, NamedTokensFollowTheirFiles) {
    for (const Json& variant : cases()["named"]) {
        SCOPED_TRACE(variant["name"].get<std::string>());
        TokenizerFiles files = bare(model_bytes("llama-tiny"));
        for (const auto& [name, file] : variant["files"].items()) files.files[name] = file.dump();
        const auto tokenizer = make_tokenizer(files);
        for (std::size_t i = 0; i < cases()["texts"].size(); ++i) {
            const std::string text = cases()["texts"][i];
            EXPECT_EQ(tokenizer->encode(text), variant["ids"][i].get<std::vector<Token>>()) << Json(text);
        }
    }
}

std::string random_text(std::mt19937& random) {
    std::string text;
    for (auto n = random() % 30; n > 0; --n) {
        static constexpr std::string_view kPlain = "   the and\n\t12";
        char32_t c = random() % 2 == 0
                         ? static_cast<unsigned char>(kPlain[random() % kPlain.size()])
                         : static_cast<char32_t>(random() % (random() % 2 == 0 ? 0x250 : 0x110000));
        if (c >= 0xD800 && c < 0xE000) c = U'\u00E9';
        if (c == U'\u2581') c = U'x';  // comes back as a blank: SentencePiece writes blanks with it
        append_utf8(c, text);
    }
    return text;
}

TEST(SentencePiece, DecodingUndoesEncoding) {
    std::mt19937 random(11);
    for (const char* name : {"llama-tiny", "grok-tiny"}) {
        const auto library = make_tokenizer(bare(model_bytes(name)));
        const auto named = make_tokenizer(read_tokenizer_files(model_folder(name)));
        for (int round = 0; round < 1500; ++round) {
            const std::string text = random_text(random);
            EXPECT_EQ(decode(*library, library->encode(text), false), text) << Json(text);
            EXPECT_EQ(decode(*named, named->encode(text), true), text) << Json(text);
        }
    }
    const auto tokenizer = make_tokenizer(bare(model_bytes("llama-tiny")));
    EXPECT_EQ(decode(*tokenizer, tokenizer->encode("a\u2581b"), false), "a b");
}

TEST(SentencePiece, StreamsWholeCharacters) {
    std::mt19937 random(12);
    const auto tokenizer = make_tokenizer(read_tokenizer_files(model_folder("llama-tiny")));
    for (int round = 0; round < 1000; ++round) {
        std::vector<Token> tokens;
        for (auto n = random() % 12; n > 0; --n)
            tokens.push_back(static_cast<Token>(random() % (random() % 2 == 0 ? 300 : 1030)));
        for (const bool skip : {false, true}) {
            Detokenizer detokenizer(*tokenizer, skip);
            for (const Token token : tokens)
                EXPECT_EQ(find_invalid_utf8(detokenizer.push(token)), std::string::npos);
            EXPECT_EQ(find_invalid_utf8(detokenizer.finish()), std::string::npos);
        }
    }
}

TEST(SentencePiece, BytesOfOneCharacterJoinAcrossSkippedTokensOnly) {
    const auto tokenizer = make_tokenizer(bare(model_bytes("llama-tiny")));
    const Token first = 3 + 0xC3;
    const std::vector<Token> tokens = {first, 2, 3 + 0xA9};
    EXPECT_EQ(decode(*tokenizer, tokens, true), "\u00E9");
    EXPECT_EQ(decode(*tokenizer, tokens, false), "\uFFFD\uFFFD");
}

// Texts by the SentencePiece library; 957 is a blank, 261 " a", 1 a control piece, 35 the byte 0x20.
TEST(SentencePiece, DropsTheBlanksThatATextCannotBeginWith) {
    const std::vector<std::vector<Token>> tokens = {
        {957, 261}, {957, 957, 261, 261}, {957, 1, 261}, {0, 261}, {35, 261}};
    const char* const first[] = {" a", "  a a", " a", " \u2047  a", "  a"};
    const char* const all[] = {"a", "a a", "a", " \u2047  a", "  a"};
    const auto plain = make_tokenizer(bare(model_bytes("llama-tiny")));
    const auto removing = make_tokenizer(bare(model_bytes("llama-tiny") + "\x1A\x02\x20\x01"));
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        EXPECT_EQ(decode(*plain, tokens[i], false), first[i]) << i;
        EXPECT_EQ(decode(*removing, tokens[i], false), all[i]) << i;
    }
}

TEST(SentencePiece, KnowsItsTokens) {
    const auto tokenizer = make_tokenizer(read_tokenizer_files(model_folder("llama-tiny")));
    EXPECT_EQ(tokenizer->vocab_size(), 1024);
    EXPECT_EQ(tokenizer->special().bos, 1);
    EXPECT_EQ(tokenizer->special().bos_text, "<s>");
    EXPECT_THAT(tokenizer->special().eos, ElementsAre(2));
    EXPECT_TRUE(tokenizer->special().add_bos);
    for (const Token token : {0, 1, 2}) EXPECT_TRUE(tokenizer->is_special(token)) << token;
    EXPECT_FALSE(tokenizer->is_special(3));
    EXPECT_FALSE(tokenizer->is_special(1024));
    EXPECT_EQ(tokenizer->bytes_of(3 + 0x41), "A");
    EXPECT_EQ(tokenizer->bytes_of(957), " ");
    EXPECT_EQ(tokenizer->bytes_at_start(957), "");
    EXPECT_EQ(tokenizer->bytes_of(-1), "");
    EXPECT_EQ(tokenizer->bytes_of(1024), "");
}

TEST(SentencePiece, ABareModelAddsBosByItsName) {
    const auto plain = make_tokenizer(bare(model_bytes("grok-tiny")));
    EXPECT_EQ(plain->special().bos, 1);
    EXPECT_THAT(plain->special().eos, ElementsAre(2));
    EXPECT_FALSE(plain->special().add_bos);                                           // [BOS]
    EXPECT_TRUE(make_tokenizer(bare(model_bytes("llama-tiny")))->special().add_bos);  // <s>
    EXPECT_FALSE(plain->is_special(3));                                               // [UNK]
    TokenizerFiles files = bare(model_bytes("llama-tiny"));
    files.files["tokenizer_config.json"] = R"({"add_bos_token": false})";
    files.files["generation_config.json"] = R"({"eos_token_id": [2, 13]})";
    const auto configured = make_tokenizer(files);
    EXPECT_FALSE(configured->special().add_bos);
    EXPECT_THAT(configured->special().eos, ElementsAre(2, 13));
}

TEST(SentencePiece, AddedTokensBeyondTheModelHaveTheirNames) {
    TokenizerFiles files = bare(model_bytes("llama-tiny"));
    files.files["tokenizer_config.json"] =
        R"({"legacy": false, "added_tokens_decoder": {"1024": {"content": "<|end|>", "special": true},
            "1025": {"content": "<tool>"}}, "eos_token": "<|end|>"})";
    const auto tokenizer = make_tokenizer(files);
    EXPECT_EQ(tokenizer->vocab_size(), 1026);
    EXPECT_THAT(tokenizer->special().eos, ElementsAre(1024));
    const std::vector<Token> ids = tokenizer->encode("<tool> a<|end|>");
    EXPECT_EQ(decode(*tokenizer, ids, true), "<tool> a");
    EXPECT_EQ(decode(*tokenizer, ids, false), "<tool> a<|end|>");
    EXPECT_EQ(tokenizer->id_of("<|end|>"), 1024);
    EXPECT_EQ(tokenizer->id_of("<tool>"), 1025);
    EXPECT_EQ(tokenizer->id_of("</s>"), 2) << "a control piece";
    EXPECT_EQ(tokenizer->id_of("\u2581I"), std::nullopt) << "a piece of text";
}

TEST(SentencePiece, SaysWhetherATextGetsABlank) {
    const auto with = [](const char* config) {
        TokenizerFiles files = bare(model_bytes("llama-tiny"));
        files.files["tokenizer_config.json"] = config;
        return make_tokenizer(files)->begins_with_blank();
    };
    EXPECT_TRUE(make_tokenizer(bare(model_bytes("llama-tiny")))->begins_with_blank());
    EXPECT_TRUE(with(R"({"legacy": false})"));
    EXPECT_FALSE(with(R"({"legacy": false, "add_prefix_space": false})"));
    EXPECT_TRUE(with(R"({"legacy": true, "add_prefix_space": false})")) << "the library's own";
}

TEST(SentencePiece, ATokenAloneIsShownWithItsBlank) {
    const auto tokenizer = make_tokenizer(read_tokenizer_files(model_folder("llama-tiny")));
    EXPECT_EQ(to_json(*tokenizer, std::vector<TokenLogprob>{{275, -1}, {3 + 0xC3, -2}}),
              "[{\"id\":275,\"token\":\" I\",\"logprob\":-1},"
              "{\"id\":198,\"token\":\"\uFFFD\",\"logprob\":-2}]");
}

TEST(SentencePiece, ThreadsMayShareIt) {
    const auto tokenizer = make_tokenizer(bare(model_bytes("llama-tiny")));
    std::string text;
    for (int i = 0; i < 200; ++i) text += "word" + std::to_string(i * 7919) + " the ";
    const auto expected = make_tokenizer(bare(model_bytes("llama-tiny")))->encode(text);
    std::vector<int> wrong(4, 0);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < wrong.size(); ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 20; ++i) wrong[t] += tokenizer->encode(text) != expected ? 1 : 0;
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_THAT(wrong, testing::Each(0));
}

TEST(SentencePiece, RefusesTextItCannotTake) {
    const auto tokenizer = make_tokenizer(bare(model_bytes("llama-tiny")));
    EXPECT_THROW(tokenizer->encode("ab\xC3"), Error);
    EXPECT_THROW(tokenizer->encode(std::string((16 << 20) + 1, 'x')), Error);
}

// ---- files that are broken, or not supported

std::string refusal(const TokenizerFiles& files) {
    try {
        make_tokenizer(files);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::Checkpoint);
        return error.what();
    }
    return "accepted";
}

std::string varint(std::uint64_t value) {
    std::string bytes;
    for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80U);
    return bytes + static_cast<char>(value);
}

std::string field(int number, const std::string& content) {
    return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(content.size()) + content;
}

std::string number_field(int number, std::uint64_t value) {
    return varint(static_cast<std::uint64_t>(number) << 3) + varint(value);
}

std::string piece(const std::string& text, Kind kind = Kind::Normal) {
    return field(1, field(1, text) + number_field(3, static_cast<std::uint64_t>(kind)));
}

const std::string kBpeModel = field(2, number_field(3, 2));

TEST(SentencePieceFile, ASmallModelIsAccepted) {
    const std::string model = piece("<unk>", Kind::Unknown) + piece("a") + piece("\u2581") + kBpeModel;
    const auto tokenizer = make_tokenizer(bare(model));
    EXPECT_THAT(tokenizer->encode("a a"), ElementsAre(2, 1, 2, 1));
    EXPECT_THAT(tokenizer->encode("\u00E9\u00E9a"), ElementsAre(2, 0, 1));
    EXPECT_EQ(decode(*tokenizer, std::vector<Token>{2, 1, 0}, false), "a \u2047 ");
    EXPECT_FALSE(tokenizer->special().bos.has_value());
    // Unknown characters that touch are one token, blanks among them.
    const std::string no_blank = piece("<unk>", Kind::Unknown) + piece("a") + kBpeModel;
    EXPECT_THAT(make_tokenizer(bare(no_blank))->encode("\u00E9 \u00E9 a"), ElementsAre(0, 1));
    EXPECT_THAT(tokenizer->special().eos, IsEmpty());
}

TEST(SentencePieceFile, RefusesWhatIsWrongByName) {
    const std::string unk = piece("<unk>", Kind::Unknown);
    std::string nested;
    std::string run;
    for (int i = 0; i < 65; ++i) nested += piece(run += "x", Kind::UserDefined);
    const std::string nan = field(1, field(1, "a") + std::string("\x15\x00\x00\xC0\x7F", 5));
    const std::pair<std::string, const char*> models[] = {
        {"", "it has no pieces"},
        {kBpeModel, "it has no pieces"},
        {unk + piece("a"), "the model type 1 is not supported"},
        {unk + field(2, number_field(3, 9)), "the model type 9 is not supported"},
        {unk + piece("") + kBpeModel, "piece 1 is empty"},
        {unk + piece("\xC3") + kBpeModel, "piece 1 is not UTF-8"},
        {unk + nan + kBpeModel, "the score of piece 1"},
        {unk + piece(std::string("a\0b", 3), Kind::UserDefined) + kBpeModel, "a zero byte"},
        {unk + nested + kBpeModel, "more than 64 user-defined pieces"},
        {unk + kBpeModel + field(3, field(1, "nmt_nfkc") + field(2, "rules")), "the normaliser nmt_nfkc"},
        {unk + kBpeModel + field(5, field(2, "rules")), "the normaliser without a name"},
        {piece("a") + kBpeModel, "unk is not defined"},
        {unk + unk + kBpeModel, "already defined"},
        {unk + piece("<0x41>", Kind::Byte) + kBpeModel, "byte piece"},
        {unk + field(2, number_field(3, 2) + number_field(35, 1)), "256 byte pieces"},
        {unk + kBpeModel + "\x0A\x7F", "cut short"},
        {unk + kBpeModel + "\x0B", "cut short"},
        {unk + kBpeModel + std::string(11, '\xFF'), "cut short"},
        {unk + kBpeModel + std::string(2, '\0'), "field has number 0"},
    };
    for (const auto& [model, said] : models) {
        const std::string message = refusal(bare(model));
        EXPECT_THAT(message, HasSubstr(said));
        EXPECT_THAT(message, HasSubstr("tokenizer.model: "));
    }
}

TEST(SentencePieceFile, RefusesBadNamesBesideIt) {
    const auto with = [](const char* name, const char* text) {
        TokenizerFiles files = bare(model_bytes("llama-tiny"));
        files.files[name] = text;
        return refusal(files);
    };
    EXPECT_THAT(with("tokenizer_config.json", R"({"added_tokens_decoder": 3})"), HasSubstr("not an object"));
    EXPECT_THAT(with("tokenizer_config.json", R"({"added_tokens_decoder": {"-1": "x"}})"),
                HasSubstr("the id -1"));
    EXPECT_THAT(with("tokenizer_config.json", R"({"added_tokens_decoder": {"99999999999": "x"}})"),
                HasSubstr("99999999999"));
    EXPECT_THAT(with("tokenizer_config.json", R"({"added_tokens_decoder": {"5": 7}})"),
                HasSubstr("neither a string nor an object"));
    EXPECT_THAT(with("tokenizer_config.json", R"({"added_tokens_decoder": {"5": "x", "6": "x"}})"),
                HasSubstr("stands twice"));
    EXPECT_THAT(with("tokenizer_config.json", R"({"bos_token": {"content": "<s>", "lstrip": 1}})"),
                HasSubstr("lstrip"));
    EXPECT_THAT(with("added_tokens.json", R"({"<x>": "a"})"), HasSubstr("added_tokens.json"));
    EXPECT_THAT(with("tokenizer_config.json", R"({"eos_token": "<nowhere>"})"), HasSubstr("<nowhere>"));
}

// Every refusal is an error with a message; what is still accepted must work; nothing is said elsewhere.
void try_model(const std::string& model, int& accepted) {
    try {
        const auto tokenizer = make_tokenizer(bare(model));
        ++accepted;
        std::vector<Token> ids = tokenizer->encode("The <s> [BOS]\u2581\u2581 12\n\n\u00E9\U0001F600");
        for (Token id = -1; id <= tokenizer->vocab_size(); id += 7) ids.push_back(id);
        decode(*tokenizer, ids, false);
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("tokenizer.model"));
    }
}

TEST(SentencePieceFile, DamageNeverEndsTheProcess) {
    std::mt19937 random(13);
    testing::internal::CaptureStderr();
    int accepted = 0;
    for (const char* name : {"llama-tiny", "grok-tiny"}) {
        const std::string model = model_bytes(name);
        for (std::size_t size = 0; size < model.size(); size += 61)
            try_model(model.substr(0, size), accepted);
        for (int round = 0; round < 300; ++round) {
            std::string damaged = model;
            for (auto n = random() % 3; n < 3; ++n) {
                // The options stand at the end.
                const std::size_t from = random() % 2 == 0 ? 0 : model.size() - 200;
                damaged[from + random() % (model.size() - from)] ^= static_cast<char>(1U << random() % 8);
            }
            try_model(damaged, accepted);
        }
    }
    EXPECT_GT(accepted, 20);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(SentencePieceFile, SelfTestsAreLeftOut) {
    const std::string failing = field(4, field(1, field(1, "the") + field(2, "nonsense")));
    testing::internal::CaptureStderr();
    EXPECT_EQ(make_tokenizer(bare(model_bytes("llama-tiny") + failing))->vocab_size(), 1024);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(TokenizerChoice, AByteLevelTokenizerJsonComesFirst) {
    TokenizerFiles both = read_tokenizer_files(test_model());
    both.files["tokenizer.model"] = "broken";
    EXPECT_EQ(make_tokenizer(both)->vocab_size(), 2002);
    both.files["tokenizer.json"] = R"({"model": {"type": "BPE"}, "decoder": {"type": "Sequence"}})";
    both.files["tokenizer.model"] = model_bytes("llama-tiny");
    both.files.erase("tokenizer_config.json");
    EXPECT_EQ(make_tokenizer(both)->vocab_size(), 1024);
}

}  // namespace
}  // namespace sluice
