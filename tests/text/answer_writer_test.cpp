// Answers in any order, stopped anywhere: each is written once or kept, and an ordered output is the input's
// order.
#include "text/answer_writer.hpp"

#include "core/json.hpp"
#include "support/scratch_folder.hpp"
#include "text/request_json.hpp"

#include <algorithm>
#include <random>

namespace sluice {
namespace {

using Random = std::mt19937;

RunRecord record() {
    RunRecord made;
    made.add_text("model", "fake");
    return made;
}

struct Answer {
    Completion completion;
    PartialAnswer partial;
};

std::uint64_t fingerprint_of(const Completion& completion) {
    return std::stoull(completion.id_json) * 8 + static_cast<std::uint64_t>(completion.index);
}

// What a source gives out: lines of 1 to 4 completions, some of an API, some refused.
std::vector<Answer> random_answers(Random& random, int lines) {
    std::vector<Answer> answers;
    for (int line = 0; line < lines; ++line) {
        const bool refused = random() % 5 == 0;
        const int n = refused ? 1 : static_cast<int>(random() % 4) + 1;
        const Api api = random() % 2 == 0 ? Api::Chat : Api::None;
        for (int index = 0; index < n; ++index) {
            Answer answer;
            answer.completion.id_json = std::to_string(line);
            answer.completion.text = "text\n" + std::to_string(random() % 100);
            answer.completion.index = index;
            answer.completion.n = n;
            answer.completion.api = api;
            answer.completion.ordinal = std::ssize(answers);
            if (refused) answer.completion.error = RequestError{"bad_json", "m"};
            answer.partial.fingerprint = fingerprint_of(answer.completion);
            answer.partial.tokens = {line, index};
            answers.push_back(answer);
        }
    }
    return answers;
}

// The output of a run that answers `answers` in an order of its own and stops after some of them; at most
// `running` are on their way at a time.
PartialAnswers run(const std::vector<Answer>& answers, const std::filesystem::path& path,
                   const AnswerLayout& layout, std::size_t answered, Random& random) {
    CompletionFile file({path, OutputMode::Overwrite, layout.format});
    file.begin(record());
    AnswerWriter writer(file, layout);
    std::vector<const Answer*> running;
    std::size_t next = 0;
    for (; answered > 0; --answered) {
        while (next < answers.size() && running.size() < 9 &&
               writer.has_room_for(static_cast<std::int64_t>(next)))
            running.push_back(&answers[next++]);
        if (running.empty()) {
            ADD_FAILURE() << "the writer waits for what it does not let begin";
            break;
        }
        std::swap(running[random() % running.size()], running.back());
        writer.put(running.back()->completion, running.back()->partial);
        running.pop_back();
    }
    writer.keep_unwritten();
    file.close();
    return file.partials();
}

// What an undisturbed, ordered run writes.
std::vector<std::string> all_lines(const std::vector<Answer>& answers, OutputFormat format) {
    std::vector<std::string> lines;
    std::vector<Completion> choices;
    for (const Answer& answer : answers) {
        choices.push_back(answer.completion);
        const bool grouped = shape_of(answer.completion.api, format) != Api::None;
        if (grouped && answer.completion.index + 1 < answer.completion.n) continue;
        lines.push_back(answer_line(choices, format));
        choices.clear();
    }
    return lines;
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
    std::istringstream stream(content_of(path));
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

constexpr OutputFormat kFormats[] = {OutputFormat::AsAsked, OutputFormat::Jsonl, OutputFormat::OpenAi,
                                     OutputFormat::Txt};

TEST(AnswerWriter, WritesEveryAnswerOnce) {
    const ScratchFolder folder;
    for (unsigned seed = 0; seed < 60; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const std::vector<Answer> answers = random_answers(random, 30);
        const OutputFormat format = kFormats[seed % 4];
        const bool ordered = random() % 2 == 0;
        const AnswerLayout layout{format, ordered, static_cast<std::int64_t>(random() % 12) + 1};
        EXPECT_TRUE(run(answers, folder / "out", layout, answers.size(), random).size() == 0);
        std::vector<std::string> written = lines_of(folder / "out");
        std::vector<std::string> expected = all_lines(answers, format);
        if (!ordered && format != OutputFormat::Txt) {
            std::ranges::sort(written);
            std::ranges::sort(expected);
        }
        EXPECT_EQ(written, expected);
    }
}

TEST(AnswerWriter, AStopLosesNothing) {
    const ScratchFolder folder;
    for (unsigned seed = 0; seed < 120; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        const std::vector<Answer> answers = random_answers(random, 20);
        const OutputFormat format = kFormats[seed % 4];
        const AnswerLayout layout{format, random() % 2 == 0, static_cast<std::int64_t>(random() % 12) + 1};
        const std::size_t stop = random() % answers.size();
        const auto kept = run(answers, folder / "out", layout, stop, random);
        const std::vector<std::string> lines = lines_of(folder / "out");
        std::size_t written = lines.size();
        if (format == OutputFormat::Txt) {
            const std::vector<std::string> all = all_lines(answers, format);
            EXPECT_TRUE(std::equal(lines.begin(), lines.end(), all.begin()));
        } else {
            const Finished finished = scan_completions(folder / "out");
            written = static_cast<std::size_t>(std::ranges::count_if(answers, [&](const Answer& answer) {
                Request request;
                request.id_json = answer.completion.id_json;
                request.index = answer.completion.index;
                request.sampling.n = answer.completion.n;
                const bool has = finished.has(request);
                const bool waits = kept.find(fingerprint_of(answer.completion)) != nullptr;
                EXPECT_FALSE(has && waits);
                return has;
            }));
        }
        EXPECT_EQ(written + kept.size(), stop);
        EXPECT_TRUE(layout.ordered || format == OutputFormat::Txt || format != OutputFormat::Jsonl ||
                    kept.size() == 0);
    }
}

TEST(AnswerWriter, BeginsNoMoreThanItsWindow) {
    const ScratchFolder folder;
    CompletionFile file({folder / "out"});
    file.begin(record());
    AnswerWriter writer(file, {OutputFormat::Jsonl, true, 3});
    Completion answer;
    answer.id_json = "1";
    const auto put = [&](std::int64_t ordinal) {
        answer.ordinal = ordinal;
        writer.put(answer, {});
    };
    put(1);
    put(2);
    EXPECT_TRUE(writer.has_room_for(2));
    EXPECT_FALSE(writer.has_room_for(3));
    EXPECT_EQ(file.lines(), 0);
    put(0);
    EXPECT_EQ(file.lines(), 3);
    EXPECT_TRUE(writer.has_room_for(5));
    EXPECT_FALSE(writer.has_room_for(6));
    const AnswerWriter other(file, {OutputFormat::Jsonl, false, 0});
    EXPECT_TRUE(other.has_room_for(1000000));
}

TEST(AnswerWriter, KeepsWhatWaitsAndDropsWhatIsWritten) {
    const ScratchFolder folder;
    CompletionFile file({folder / "out"});
    file.begin(record());
    AnswerWriter writer(file, {OutputFormat::Jsonl, true, 9});
    for (const int ordinal : {3, 1, 2}) {
        Completion answer;
        answer.id_json = std::to_string(ordinal);
        answer.ordinal = ordinal;
        writer.put(answer, {static_cast<std::uint64_t>(ordinal), {ordinal}, {}});
    }
    EXPECT_TRUE(writer.has_unwritten());
    writer.keep_unwritten();
    EXPECT_EQ(file.partials().size(), 3U);
    Completion first;
    first.id_json = "0";
    writer.put(first, {0, {0}, {}});
    EXPECT_FALSE(writer.has_unwritten());
    EXPECT_EQ(file.partials().size(), 0U);
}

TEST(AnswerWriter, BeginsNothingMoreWhileTooManyBytesWait) {
    const ScratchFolder folder;
    CompletionFile file({folder / "out"});
    file.begin(record());
    AnswerWriter writer(file, {OutputFormat::Jsonl, true, 9, 1000});
    Completion answer;
    answer.id_json = "1";
    answer.ordinal = 1;
    EXPECT_TRUE(writer.has_room_for(3));
    answer.text = std::string(1000, 'x');
    writer.put(answer, {});
    EXPECT_FALSE(writer.has_room_for(3));
    EXPECT_TRUE(writer.has_room_for(0));
    answer.ordinal = 0;
    writer.put(answer, {});
    EXPECT_TRUE(writer.has_room_for(3));
}

TEST(AnswerWriter, OrdersScores) {
    const ScratchFolder folder;
    CompletionFile file({folder / "out"});
    file.begin(record());
    AnswerWriter writer(file, {OutputFormat::AsAsked, true, 9});
    for (const int ordinal : {2, 0, 1}) {
        Score score;
        score.id_json = std::to_string(ordinal);
        score.ordinal = ordinal;
        writer.put(score);
    }
    const auto lines = lines_of(folder / "out");
    ASSERT_EQ(lines.size(), 3U);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(Json::parse(lines[static_cast<std::size_t>(i)])["id"], i);
}

TEST(AnswerWriter, AnOrdinalAnsweredTwiceIsABrokenPromise) {
    const ScratchFolder folder;
    CompletionFile file({folder / "out"});
    file.begin(record());
    AnswerWriter writer(file, {OutputFormat::Jsonl, true, 9});
    Completion answer;
    answer.id_json = "1";
    writer.put(answer, {});
    expect_error([&] { writer.put(answer, {}); }, ExitCode::Internal, {"number 0", "twice"});
}

}  // namespace
}  // namespace sluice
