// sluice-tokenize as a user calls it.
#include "jobs/job.hpp"

#include <gmock/gmock.h>

namespace sluice::test {
namespace {

using testing::HasSubstr;

class Tokenize : public JobTest {
protected:
    Ending tokenize(const Words& words, const std::string& input = "") const {
        return Process(Words{SLUICE_TOKENIZE} + words, folder_.path(), input).wait();
    }

    std::vector<OrderedJson> lines(const Words& words, const std::string& input = "", int code = 0) const {
        const Ending ending = tokenize(words, input);
        EXPECT_EQ(ending.code, code) << ending.err;
        std::vector<OrderedJson> lines;
        for (const std::string& line : lines_of(ending.out)) lines.push_back(OrderedJson::parse(line));
        return lines;
    }

    static std::string model_folder(const std::string& name) {
        return (std::filesystem::path(SLUICE_TEST_DATA) / "models" / name).string();
    }
    const std::string v3_ = checkpoint("v3").string();
};

const OrderedJson kHello = {0, 42, 419, 81};

TEST_F(Tokenize, TextsOfTheCommandLine) {
    const auto shown = lines({"--model", v3_, "Hello", "two\nlines"});
    ASSERT_EQ(shown.size(), 2U);
    EXPECT_EQ(shown[0].dump(), R"({"id":"TEXT:1","tokens":[0,42,419,81]})");
    EXPECT_EQ(shown[1]["id"], "TEXT:2");
    EXPECT_EQ(lines({"--model", v3_, "--no-bos", "Hello"})[0]["tokens"], OrderedJson({42, 419, 81}));
    EXPECT_EQ(lines({"--model", v3_, "--decode", "42,419", "81"})[0].dump(),
              R"({"id":"TEXT:1","text":"Hello"})");
}

TEST_F(Tokenize, ACheckpointAndABareFolderAreTheSame) {
    const std::string input = "Hello\n\nO, my lord! 12345\n";
    const auto ours = tokenize({"--model", v3_}, input);
    EXPECT_EQ(ours.code, 0) << ours.err;
    EXPECT_EQ(ours.out, tokenize({"--model", model_folder("deepseek-v3-tiny")}, input).out);
    ASSERT_EQ(lines_of(ours.out).size(), 2U);
    EXPECT_THAT(lines_of(ours.out)[1], HasSubstr(R"("id":"-:3")"));
}

TEST_F(Tokenize, SentencePieceFolders) {
    EXPECT_EQ(lines({"--model", model_folder("llama-tiny"), "a"})[0]["tokens"], OrderedJson({1, 261}));
    EXPECT_EQ(lines({"--model", model_folder("grok-tiny"), "Hello"})[0]["tokens"],
              OrderedJson({351, 454, 968}));
    EXPECT_EQ(lines({"--model", model_folder("llama-tiny"), "--decode", "1 261"})[0]["text"], "a");
}

// The number of tokens that sluice-generate gives for each line.
TEST_F(Tokenize, GivesTheTokensThatAreRun) {
    const std::string prompts =
        R"({"id":1,"prompt":"Speak, speak."})"
        "\n"
        R"({"id":2,"messages":[{"role":"user","content":"ROMEO"}]})"
        "\n"
        R"({"id":3,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"JULIET"}]})"
        "\n"
        R"({"id":4,"tokens":[5,6,7],"max_new_tokens":2})"
        "\n";
    folder_.put("in.jsonl", prompts);
    const std::vector<Words> choices = {{}, {"--chat"}, {"--chat", "--system", "You are a king."}};
    for (std::size_t i = 0; i < choices.size(); ++i) {
        SCOPED_TRACE(testing::PrintToString(choices[i]));
        const std::string output = "out" + std::to_string(i) + ".jsonl";
        const auto run = records(files("v3", "in.jsonl", output) +
                                     Words{"--max-new-tokens", "1", "--progress", "off"} + choices[i],
                                 output);
        const auto shown = lines(Words{"--model", v3_, "--input", path("in.jsonl")} + choices[i]);
        ASSERT_EQ(shown.size(), 4U);
        for (const OrderedJson& line : shown) {
            EXPECT_EQ(line["tokens"].size(), record_of(run, line["id"])["prompt_tokens"].get<std::size_t>())
                << line;
        }
    }
    const auto shown = lines({"--model", v3_, "--input", path("in.jsonl")});
    EXPECT_EQ(shown[3]["tokens"], OrderedJson({5, 6, 7}));
    const std::string text = lines({"--model", v3_, "--decode"}, shown[2].dump() + "\n")[0]["text"];
    EXPECT_THAT(text, testing::MatchesRegex(".*Be brief..*JULIET.*"));
}

TEST_F(Tokenize, LinesComeBackAsTheyWere) {
    folder_.put("in.jsonl",
                "{\"id\":\"a\",\"prompt\":\"O, \\u00e9 \\ud83d\\ude00\\n\\t x  \",\"meta\":{\"k\":[1]}}\n"
                "{\"id\":17,\"prompt\":\"  two  \"}\n");
    const Ending encoded =
        tokenize({"--model", v3_, "--input", path("in.jsonl"), "--output", path("ids.jsonl")});
    EXPECT_EQ(encoded.code, 0) << encoded.err;
    EXPECT_EQ(encoded.out, "");
    const auto texts = lines({"--model", v3_, "--decode", "--skip-special", "--input", path("ids.jsonl")});
    ASSERT_EQ(texts.size(), 2U);
    EXPECT_EQ(texts[0],
              OrderedJson::parse(R"({"id":"a","text":"O, \u00e9 \ud83d\ude00\n\t x  ","meta":{"k":[1]}})"));
    EXPECT_EQ(texts[1], OrderedJson::parse(R"({"id":17,"text":"  two  "})"));
    const auto whole = lines({"--model", v3_, "--decode", "--input", path("ids.jsonl")});
    EXPECT_THAT(whole[1]["text"].get<std::string>(), HasSubstr("begin"));
}

TEST_F(Tokenize, BadLinesBecomeErrorRecords) {
    const auto shown = lines(
        {"--model", v3_},
        "{\"id\":1,\"prompt\":\"Hello\"}\nnonsense\n{\"id\":2,\"prompt\":3}\n{\"id\":1,\"prompt\":\"x\"}\n"
        "{\"id\":3,\"tokens\":[99999]}\n{\"id\":4,\"prompt\":\"Hello\"}\n",
        5);
    ASSERT_EQ(shown.size(), 6U);
    EXPECT_EQ(shown[0]["tokens"], kHello);
    const char* const codes[] = {"bad_json", "bad_prompt", "duplicate_id", "token_out_of_range"};
    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(shown[i + 1]["error"]["code"], codes[i]);
        EXPECT_FALSE(shown[i + 1].contains("tokens"));
    }
    EXPECT_EQ(shown[5]["tokens"], kHello);
    const auto back =
        lines({"--model", v3_, "--decode"},
              "{\"id\":1,\"tokens\":[42]}\n{\"id\":2,\"prompt\":\"x\"}\n{\"id\":3,\"tokens\":[-1]}\n", 5);
    ASSERT_EQ(back.size(), 3U);
    EXPECT_EQ(back[0]["text"], "H");
    EXPECT_EQ(back[1]["error"]["code"], "no_tokens");
    EXPECT_EQ(back[2]["error"]["code"], "bad_tokens");
}

TEST_F(Tokenize, WithoutAChatTemplateMessagesAreErrorRecords) {
    const auto shown = lines({"--model", model_folder("grok-tiny"), "--chat", "x"}, "", 5);
    EXPECT_EQ(shown[0]["error"]["code"], "no_chat_template");
}

TEST_F(Tokenize, AChosenChatFormat) {
    EXPECT_EQ(lines({"--model", model_folder("llama-tiny"), "--chat", "--chat-format", "mixtral",
                     "ROMEO"})[0]["tokens"],
              OrderedJson({1, 458, 459, 1012, 857, 613, 459, 1012}));
}

TEST_F(Tokenize, ATemplateThatIsNotSupportedMattersToConversationsOnly) {
    const std::string folder = path("template");
    std::filesystem::copy(model_folder("llama-tiny"), folder);
    folder_.put("template/chat_template.jinja", "{% include 'x' %}");
    const Ending plain = tokenize({"--model", folder, "a"});
    EXPECT_EQ(plain.out, "{\"id\":\"TEXT:1\",\"tokens\":[1,261]}\n");
    EXPECT_THAT(plain.err, HasSubstr("conversations cannot be encoded"));
    EXPECT_EQ(tokenize({"--model", folder, "--decode", "261"}).err, "");
    const Ending refused = tokenize({"--model", folder, "--chat", "a"});
    EXPECT_EQ(refused.code, 3);
    EXPECT_THAT(refused.err, HasSubstr("--chat-format"));
    EXPECT_EQ(tokenize({"--model", folder, "--chat", "--chat-format", "llama-2", "a"}).code, 0);
}

TEST_F(Tokenize, AnOutputIsNotReplacedUnasked) {
    folder_.put("out.jsonl", "precious");
    const Ending refused = tokenize({"--model", v3_, "Hello", "--output", path("out.jsonl")});
    EXPECT_EQ(refused.code, 2);
    EXPECT_THAT(refused.err, HasSubstr("--overwrite"));
    EXPECT_EQ(content("out.jsonl"), "precious");
    EXPECT_EQ(tokenize({"--model", v3_, "Hello", "--output", path("out.jsonl"), "--overwrite"}).code, 0);
    EXPECT_EQ(lines_of(content("out.jsonl")).size(), 1U);
    const Ending itself = tokenize(
        {"--model", v3_, "--input", path("out.jsonl"), "--output", path("out.jsonl"), "--overwrite"});
    EXPECT_EQ(itself.code, 2);
    EXPECT_EQ(lines_of(content("out.jsonl")).size(), 1U);
    EXPECT_EQ(tokenize({"--model", v3_, "Hello", "--output", "/dev/full"}).code, 4);
}

TEST_F(Tokenize, RefusalsNameWhatIsWrong) {
    for (const char* name : {"broken", "empty"}) std::filesystem::create_directory(path(name));
    folder_.put("broken/tokenizer.model", "\x0A\x7F");
    const struct {
        Words words;
        int code;
        const char* said;
    } refusals[] = {
        {{}, 2, "--model"},
        {{"--model", path("nowhere"), "x"}, 3, "nowhere: there is no such folder"},
        {{"--model", path("empty"), "x"}, 3, "no tokenizer.json or tokenizer.model"},
        {{"--model", path("broken"), "x"}, 3, "tokenizer.model: not a SentencePiece model"},
        {{"--model", v3_, "--input", path("nowhere.txt")}, 4, "nowhere.txt"},
        {{"--model", v3_, "x", "--input", "-"}, 2, "--input"},
        {{"--model", v3_, "--decode", "--chat"}, 2, "--chat"},
        {{"--model", v3_, "--skip-special", "x"}, 2, "--decode"},
        {{"--model", v3_, "--decode", "1x"}, 2, "\"1x\" is no list of token ids"},
        {{"--model", v3_, "--decode", "3000000000"}, 2, "3000000000"},
        {{"--model", v3_, "--prompt-format", "xml"}, 2, "xml"},
    };
    for (const auto& refusal : refusals) {
        const Ending ending = tokenize(refusal.words);
        EXPECT_EQ(ending.code, refusal.code) << ending.err;
        EXPECT_THAT(ending.err, HasSubstr(refusal.said));
        EXPECT_EQ(ending.out, "");
        EXPECT_EQ(lines_of(ending.err).size(), 1U);
    }
}

TEST_F(Tokenize, HelpSaysWhatBosDoes) {
    const Ending help = tokenize({"--help"});
    EXPECT_EQ(help.code, 0);
    for (const char* word : {"--no-bos", "--decode", "sluice-generate", "standard input", "--prompt-format"})
        EXPECT_THAT(help.out, HasSubstr(word));
}

}  // namespace
}  // namespace sluice::test
