// sluice-generate --interactive: conversations through pipes, on a terminal and under mpirun.
#include "jobs/dialog.hpp"
#include "jobs/job.hpp"

#include <gmock/gmock.h>

#include <csignal>

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using On = Dialog::On;

const Words kGreedy{"--temperature", "0", "--max-new-tokens", "24"};
// Long enough to be stopped on the way.
const Words kLong{"--temperature", "0", "--max-new-tokens", "1200", "--ignore-eos"};

OrderedJson message(const std::string& role, const std::string& content) {
    return {{"role", role}, {"content", content}};
}

class Interactive : public JobTest {
protected:
    static Words chat(const Words& more, const std::string& model = "v3") {
        return Words{"--model", checkpoint(model).string(), "--interactive", "--threads", "1", "--log-level",
                     "debug"} +
               more;
    }
    std::unique_ptr<Dialog> talk(const Words& more, On on = On::Pipes, int ranks = 0) const {
        return std::make_unique<Dialog>(command(chat(more), ranks), folder_.path(), on);
    }
    // Standard output of a chat about `input`, which must succeed.
    std::string answers(const std::string& input, const Words& more = kGreedy, int ranks = 0) const {
        const Ending ending = run(chat(more), ranks, input);
        EXPECT_EQ(ending.code, 0) << ending.err;
        return ending.out;
    }
    // The next answer: complete when its cost is told, after it.
    static std::string answer(Dialog& dialog, std::size_t before) {
        EXPECT_TRUE(dialog.notes("debug: turn ")) << dialog.err();
        const std::string text = dialog.out().substr(before);
        EXPECT_THAT(text, testing::EndsWith("\n"));
        return text.substr(0, text.size() - 1);
    }
    static std::string ask(Dialog& dialog, const std::string& line) {
        const std::size_t before = dialog.out().size();
        dialog.send(line + "\n");
        return answer(dialog, before);
    }
    // What a batch run answers to the same messages.
    std::string batch(const std::vector<OrderedJson>& messages, const Words& more) const {
        folder_.put("in.jsonl", OrderedJson({{"messages", messages}}).dump() + "\n");
        const auto all =
            records(files("v3", "in.jsonl", "out.jsonl") + Words{"--overwrite"} + more, "out.jsonl");
        return all.size() == 1 ? all.front()["completion"].get<std::string>() : "no answer";
    }
};

class SameAnswers : public Interactive, public testing::WithParamInterface<Words> {};

INSTANTIATE_TEST_SUITE_P(Choices, SameAnswers,
                         testing::Values(kGreedy, Words{"--seed", "5", "--top-p", "0.9"},
                                         Words{"--seed", "6", "--stop", "ou", "--stop", ", my lord"},
                                         Words{"--chat-format", "deepseek-v2", "--max-new-tokens", "9"}),
                         [](const auto& test) { return "of_" + std::to_string(test.index); });

TEST_P(SameAnswers, AsABatchRunOfTheSameMessages) {
    const Words words = GetParam() + Words{"--system", "Speak as a king."};
    const auto dialog = talk(words);
    std::vector<OrderedJson> messages;
    for (const char* line : {"Good morrow to you.", "What says the duke?", "Farewell."}) {
        messages.push_back(message("user", line));
        const std::string answer = ask(*dialog, line);
        EXPECT_EQ(answer, batch(messages, words)) << OrderedJson(messages);
        messages.push_back(message("assistant", answer));
    }
    EXPECT_EQ(dialog->wait().code, 0);
}

// The first question alone does not fill a page of 64 tokens: the page that is known holds some of the
// answer.
TEST_F(Interactive, TheNextTurnComputesOnlyWhatIsNew) {
    const auto dialog = talk({"--temperature", "0"});
    std::string question;
    for (int i = 0; i < 13; ++i) question += "the king my lord ";
    ask(*dialog, question);
    ask(*dialog, "And?");
    EXPECT_THAT(dialog->err(), testing::ContainsRegex("turn 1: 5[0-9] prompt tokens, 0 of them known"));
    EXPECT_THAT(dialog->err(), testing::ContainsRegex("turn 2: [0-9]+ prompt tokens, 64 of them known"));
}

TEST_F(Interactive, CommandsAreObeyedAndNotSent) {
    const std::string once = answers("Who are you?\n");
    EXPECT_THAT(once, Not(IsEmpty()));
    const std::string both = answers("Who are you?\nWho are you?\n");
    EXPECT_THAT(both, StartsWith(once));
    ASSERT_NE(both, once + once) << "the second question is another conversation's";
    EXPECT_EQ(answers("Who are you?\n/clear\n\n  \t\nWho are you?\r\n/exit\nWho are you?\n"), once + once);

    const Ending told = run(chat(kGreedy), 0, "/help \n/clearly\n/stop\n/\nWho are you?");
    EXPECT_EQ(told.out, once);
    EXPECT_THAT(told.err, AllOf(HasSubstr("/exit "), HasSubstr("/clearly is no command"),
                                HasSubstr("No answer"), HasSubstr(" / is no command")));
    EXPECT_EQ(answers(" /clearly\n"), batch({message("user", " /clearly")}, kGreedy) + "\n");
}

TEST_F(Interactive, ABackslashContinuesAMessage) {
    const std::string whole = batch({message("user", "Good\n\n/exit\\ morrow")}, kGreedy) + "\n";
    EXPECT_EQ(answers("Good\\\n\\\n/exit\\ morrow\n"), whole);
    EXPECT_EQ(answers("Good\\\n\\\n/exit\\ morrow\\\n"), whole) << "the input ends where it goes on";
}

TEST_F(Interactive, WhatCannotBeSentIsToldAndForgotten) {
    const std::string input = std::string(65U << 20, 'x') + "\n" + std::string(40U << 20, 'y') + "\\\n" +
                              std::string(40U << 20, 'y') + "\nbad \xff byte\nWho are you?\n";
    const Ending ending = run(chat(kGreedy), 0, input);
    EXPECT_EQ(ending.code, 0) << ending.err;
    EXPECT_EQ(ending.out, answers("Who are you?\n"));
    EXPECT_EQ(occurrences(ending.err, "64 MiB"), 2) << ending.err;
    EXPECT_THAT(ending.err, HasSubstr("not valid UTF-8"));
}

TEST_F(Interactive, AConversationThatIsTooLongIsToldAndKept) {
    const Words words = kGreedy + Words{"--max-seq-len", "48", "--ignore-eos"};
    std::string many;
    for (int i = 0; i < 60; ++i) many += "king ";
    const Ending ending = run(chat(words), 0, "Who?\n" + many + "\nWhy?\nWho?\n/clear\nWho?\n");
    EXPECT_EQ(ending.code, 0);
    EXPECT_EQ(occurrences(ending.err, "Not answered"), 2) << ending.err;
    EXPECT_EQ(occurrences(ending.err, "/clear forgets"), 3) << ending.err;
    const std::string first = batch({message("user", "Who?")}, words);
    const std::string second =
        batch({message("user", "Who?"), message("assistant", first), message("user", "Why?")}, words);
    EXPECT_EQ(ending.out, first + "\n" + second + "\n" + first + "\n");
    EXPECT_THAT(ending.err, AllOf(HasSubstr("48 tokens are all"), HasSubstr("cut off after 24 tokens")));
}

class Stopping : public Interactive, public testing::WithParamInterface<bool> {
protected:
    // Slower: what is to be stopped must not be over before.
    Stopping() { ::setenv("SLUICE_ISA", "generic", 1); }
    ~Stopping() override { ::unsetenv("SLUICE_ISA"); }

    void expect_cut(const std::string& cut) const {
        const std::string whole = batch({message("user", "Speak on.")}, kLong);
        EXPECT_THAT(whole, StartsWith(cut));
        EXPECT_LT(cut.size(), whole.size());
        EXPECT_FALSE(cut.empty());
    }
};

INSTANTIATE_TEST_SUITE_P(By, Stopping, testing::Bool(),
                         [](const auto& test) { return test.param ? "signal" : "command"; });

TEST_P(Stopping, AnAnswerKeepsWhatWasSaid) {
    const auto dialog = talk(kLong);
    dialog->send("Speak on.\n");
    ASSERT_TRUE(dialog->says(" "));  // it is being written, and seen
    if (GetParam())
        dialog->signal(SIGINT);
    else
        dialog->send("/stop\n");
    const std::string cut = answer(*dialog, 0);
    expect_cut(cut);
    dialog->send("/stop\nGo on.\n");
    ASSERT_TRUE(dialog->notes("No answer"));
    const std::string next = answer(*dialog, cut.size() + 1);
    EXPECT_EQ(
        next,
        batch({message("user", "Speak on."), message("assistant", cut), message("user", "Go on.")}, kLong));
    EXPECT_EQ(dialog->wait().code, 0);
}

// The tokens are asked for one after the other, so half a line of input must not hold them up.
TEST_F(Interactive, AnAnswerDoesNotWaitForTheRestOfALine) {
    const auto dialog = talk(kGreedy);
    dialog->send("Who are you?\n/cle");
    const std::string first = answer(*dialog, 0);
    dialog->send("ar\nWho are you?\n");
    EXPECT_EQ(answer(*dialog, first.size() + 1), first);
}

TEST_F(Interactive, ASignalThatEndsJobsEndsItBetweenTwoSteps) {
    const auto dialog = talk(kLong);
    ASSERT_TRUE(dialog->notes("ready"));
    dialog->send("half a li");
    dialog->signal(SIGTERM);
    ASSERT_TRUE(dialog->notes("stopped by signal 15"));
    const Ending ending = dialog->wait();
    EXPECT_EQ(ending.code, 75) << ending.err;
    EXPECT_EQ(ending.out, "");
}

TEST_P(Stopping, OnATerminalCtrlCStopsAnswersAndLeavesThePromptAtTheSecond) {
    const auto dialog = talk(kLong, On::Terminal);
    ASSERT_TRUE(dialog->says("ready"));
    ASSERT_TRUE(dialog->says("> "));
    dialog->send("Speak on.\n");
    ASSERT_TRUE(dialog->says("Speak on.\n"));
    const std::size_t begin = dialog->out().rfind("Speak on.\n") + 10;
    ASSERT_TRUE(dialog->says(" "));
    dialog->send(GetParam() ? "\x03" : "/stop\n");
    ASSERT_TRUE(dialog->says("turn 1"));
    const std::string typed = GetParam() ? "^C" : "/stop\n";
    std::string shown = dialog->out().substr(begin);
    shown.erase(shown.find("\nsluice: debug"));
    ASSERT_NE(shown.find(typed), std::string::npos) << shown;
    expect_cut(shown.erase(shown.find(typed), typed.size()));

    ASSERT_TRUE(dialog->says("> "));
    dialog->send("not so\x03");
    ASSERT_TRUE(dialog->says("Ctrl-C again"));
    ASSERT_TRUE(dialog->says("> "));
    dialog->send("/clear\nfirst\\\n");  // a line in between: the next is a first one again
    ASSERT_TRUE(dialog->says("... "));
    dialog->send("\x03");
    ASSERT_TRUE(dialog->says("> "));
    dialog->send("\x03");
    ASSERT_TRUE(dialog->says("Ctrl-C again"));
    ASSERT_TRUE(dialog->says("> "));
    dialog->send(GetParam() ? "\x03" : "\x04");
    const Ending ending = dialog->wait();
    EXPECT_EQ(ending.code, 0) << ending.out;
    EXPECT_EQ(occurrences(ending.out, "debug: turn"), 1) << ending.out;
}

TEST_F(Interactive, WithoutAChatTemplateAFormatIsAskedFor) {
    const Ending none = run(chat(kGreedy, "grok"), 0, "Hello\n");
    EXPECT_EQ(none.code, 2);
    EXPECT_THAT(none.err, AllOf(HasSubstr("grok"), HasSubstr("--chat-format"), HasSubstr("--raw")));
    EXPECT_THAT(none.err, Not(HasSubstr("loaded")));
    EXPECT_EQ(run(chat(kGreedy + Words{"--chat-format", "deepseek-v2"}, "grok"), 0, "Hello\n").code, 0);
}

TEST_F(Interactive, RawLinesAreContinuedEachForItself) {
    folder_.put("in.txt", "First Citizen:\n");
    const auto all = records(files("v3", "in.txt", "out.jsonl") + kGreedy, "out.jsonl");
    ASSERT_EQ(all.size(), 1U);
    const std::string once = all.front()["completion"].get<std::string>() + "\n";
    EXPECT_EQ(answers("First Citizen:\nFirst Citizen:\n", kGreedy + Words{"--raw"}), once + once);
}

TEST_F(Interactive, OptionsOfFilesAreRefused) {
    for (const Words& words :
         {Words{"--prompts", "a.txt"}, Words{"--output", "b.jsonl"}, Words{"--resume"}, Words{"--overwrite"},
          Words{"--prompt-format", "txt"}, Words{"--return-tokens"}, Words{"--logprobs", "1"}}) {
        const Ending ending = run(chat(words));
        EXPECT_EQ(ending.code, 2) << words.front();
        EXPECT_THAT(ending.err, AllOf(HasSubstr(words.front()), HasSubstr("--interactive")));
    }
    EXPECT_EQ(run(chat({"--dry-run"})).code, 0);
}

TEST_F(Interactive, AStandardOutputThatTakesNoMoreEndsIt) {
    const Ending ending =
        Process(Words{"/bin/sh", "-c", "exec \"$@\" > /dev/full", "sh"} + command(chat(kGreedy), 0),
                folder_.path(), "Hello\nHello\n")
            .wait();
    EXPECT_EQ(ending.code, 4) << ending.err;
    EXPECT_EQ(occurrences(ending.err, "cannot write to standard output"), 1) << ending.err;
}

class OnRanks : public Stopping {
protected:
    void SetUp() override {
        if (SLUICE_HAVE_MPI == 0) GTEST_SKIP() << "built without MPI";
    }
};

INSTANTIATE_TEST_SUITE_P(Mpirun, OnRanks, testing::Values(false));

TEST_P(OnRanks, SayWhatOneProcessSays) {
    const std::string input = "Who are you?\nAnd who am I?\n/clear\nWho are you?\n";
    const std::string alone = answers(input);
    EXPECT_THAT(alone, Not(IsEmpty()));
    EXPECT_EQ(answers(input, kGreedy, 2), alone);
    EXPECT_EQ(run(chat(kGreedy, "grok"), 2, "Hello\n").code, 2);
}

TEST_P(OnRanks, AnAnswerIsStoppedByACommand) {
    const auto dialog = talk(kLong, On::Pipes, 2);
    dialog->send("Speak on.\n");
    ASSERT_TRUE(dialog->says(" "));
    dialog->send("/stop\n");
    ASSERT_TRUE(dialog->notes("debug: turn 1"));
    dialog->send("/exit\n");
    const Ending ending = dialog->wait();
    EXPECT_EQ(ending.code, 0) << ending.err;
    ASSERT_THAT(ending.out, testing::EndsWith("\n"));
    expect_cut(ending.out.substr(0, ending.out.size() - 1));
}

TEST_P(OnRanks, ASignalToAnyRankEndsItWhileItWaitsForAMessage) {
    const auto dialog = talk(kGreedy, On::Pipes, 2);
    ASSERT_TRUE(dialog->notes("ready"));
    const std::vector<pid_t> tree = dialog->tree();
    ASSERT_EQ(tree.size(), 3U) << "mpirun and two ranks";
    ::kill(tree[2], SIGTERM);
    ASSERT_TRUE(dialog->notes("stopped by signal 15")) << dialog->err();
    EXPECT_EQ(dialog->wait().code, 75);
}

}  // namespace
}  // namespace sluice::test
