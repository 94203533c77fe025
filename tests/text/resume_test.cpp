// Exactly once: a run cut off anywhere and resumed gives the lines of an undisturbed run.
#include "text/resume.hpp"

#include "support/scratch_folder.hpp"
#include "text/answer_writer.hpp"
#include "text/completion_file.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <random>

namespace sluice {
namespace {

using Random = std::mt19937;

std::string random_id(Random& random) {
    static const std::vector<std::string> ids{"1", "\"1\"", "\"a\"", "\"\\u0061\"", "\"in.jsonl:3\"", "-7"};
    return ids[random() % ids.size()];
}

std::string random_line(Random& random) {
    const std::string id = random() % 2 == 0 ? "" : "\"id\":" + random_id(random) + ",";
    const std::string meta = random() % 3 == 0 ? fmt::format(",\"meta\":{{\"n\": {}}}", random() % 100) : "";
    switch (random() % 8) {
        case 0: return "{\"id\": 1, \"prompt\"";
        case 1: return "{" + id + "\"prompt\":\"p\",\"top_k\":-1" + meta + "}";
        case 2: return "{" + id + "\"prompt\":\"caf\xC3\"" + meta + "}";
        case 3: return "";
        default: return fmt::format("{{{}\"prompt\":\"caf\xC3\xA9 {}\"{}}}", id, random() % 10, meta);
    }
}

std::filesystem::path random_input(const ScratchFolder& folder, Random& random, int lines) {
    std::string text;
    for (int line = 0; line < lines; ++line)
        text += random_line(random) + (random() % 4 == 0 ? "\r\n" : "\n");
    return folder.put("in.jsonl", text);
}

// The answer depends on the request alone, as the engine's does.
Completion answer(const ParsedLine& line) {
    if (const auto* failed = std::get_if<FailedRequest>(&line)) return error_record(*failed);
    const auto& request = std::get<Request>(line);
    Completion completion;
    completion.id = request.id;
    completion.id_json = request.id_json;
    completion.text = "\xE2\x82\xAC " + std::get<std::string>(request.input) + "\n";
    completion.finish_reason = FinishReason::Length;
    completion.tokens = std::vector<Token>{1, 2};
    completion.meta_json = request.meta_json;
    return completion;
}

RunRecord record() {
    RunRecord made;
    made.add_text("model", "fake");
    return made;
}

// An engine that answers what it holds in any order.
void run(const std::filesystem::path& input, const std::filesystem::path& output, OutputMode mode,
         Random& random) {
    CompletionFile file({output, mode});
    auto source = skip_finished(open_prompts({input}, {}), file.begin(record()));
    std::vector<ParsedLine> held;
    for (bool more = true; more || !held.empty();) {
        while (more && held.size() < 7) {
            auto line = source->next();
            more = line.has_value();
            if (line) held.push_back(std::move(*line));
        }
        if (held.empty()) break;
        std::swap(held[random() % held.size()], held.back());
        file.write(to_json_line(answer(held.back())));
        held.pop_back();
    }
}

std::vector<std::string> sorted_lines(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    return lines;
}

// Every cut around the end of a line, and some of those within one.
TEST(Resume, CutAnywhereItGivesTheSameLines) {
    const ScratchFolder folder;
    Random random(1);
    const auto input = random_input(folder, random, 24);
    run(input, folder / "whole", OutputMode::Fresh, random);
    const std::string whole = content_of(folder / "whole");
    const std::vector<std::string> expected = sorted_lines(whole);
    ASSERT_GE(
        std::count_if(expected.begin(), expected.end(),
                      [](const std::string& line) { return line.find("duplicate_id") != std::string::npos; }),
        3);
    write_run_record(folder / "out", record());
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        const std::string around = whole.substr(size - std::min<std::size_t>(size, 2), 4);
        if (size % 8 != 0 && around.find('\n') == std::string::npos) continue;
        folder.put("out", std::string_view(whole).substr(0, size));
        run(input, folder / "out", OutputMode::Resume, random);
        ASSERT_EQ(sorted_lines(content_of(folder / "out")), expected) << "cut at " << size;
    }
}

TEST(Resume, CutAgainAndAgainItGivesTheSameLines) {
    for (unsigned seed = 0; seed < 40; ++seed) {
        const ScratchFolder folder;
        Random random(seed);
        const auto input = random_input(folder, random, 40);
        run(input, folder / "whole", OutputMode::Fresh, random);
        const std::vector<std::string> expected = sorted_lines(content_of(folder / "whole"));
        run(input, folder / "out", OutputMode::Fresh, random);
        for (int stop = 0; stop < 10; ++stop) {
            const auto size = std::filesystem::file_size(folder / "out");
            std::filesystem::resize_file(folder / "out", size - random() % (size / 2));
            run(input, folder / "out", OutputMode::Resume, random);
            ASSERT_EQ(sorted_lines(content_of(folder / "out")), expected) << seed << ' ' << stop;
        }
    }
}

TEST(Resume, AFinishedFileStaysAsItIs) {
    const ScratchFolder folder;
    Random random(3);
    const auto input = random_input(folder, random, 40);
    run(input, folder / "out", OutputMode::Fresh, random);
    const std::string before = content_of(folder / "out");
    run(input, folder / "out", OutputMode::Resume, random);
    EXPECT_EQ(content_of(folder / "out"), before);
}

TEST(Resume, CountsLinesAndErrors) {
    const ScratchFolder folder;
    Random random(4);
    const auto input =
        folder.put("in.jsonl", "{\"id\":1,\"prompt\":\"p\"}\n{\"id\":1,\"prompt\":\"p\"}\nbad\n");
    run(input, folder / "out", OutputMode::Fresh, random);
    const Finished finished = scan_completions(folder / "out");
    EXPECT_EQ(finished.lines(), 3);
    EXPECT_EQ(finished.errors(), 2);
}

TEST(Resume, AnInputThatHasGrownIsCompleted) {
    const ScratchFolder folder;
    Random random(5);
    run(folder.put("in.txt", "a\nb\n"), folder / "out", OutputMode::Fresh, random);
    run(folder.put("in.txt", "a\nb\nc\n"), folder / "out", OutputMode::Resume, random);
    EXPECT_EQ(scan_completions(folder / "out").lines(), 3);
}

// ---- every format ----

// What the source of a run does of lines that ask for several completions.
class SeveralEach final : public PromptSource {
public:
    explicit SeveralEach(std::unique_ptr<PromptSource> lines) : lines_(std::move(lines)) {}
    std::optional<ParsedLine> next() override {
        if (queue_.empty()) {
            auto line = lines_->next();
            auto* request = line ? std::get_if<Request>(&*line) : nullptr;
            if (request == nullptr) return line;
            const std::size_t size = std::get<std::string>(request->input).size();
            request->sampling.n = 1 + static_cast<int>(size % 3);
            request->api = size % 2 == 0 ? Api::Chat : Api::None;
            for (request->index = request->sampling.n; request->index-- > 0;) queue_.push_back(*request);
        }
        Request request = std::move(queue_.back());
        queue_.pop_back();
        return request;
    }
    bool ready(int) override { return true; }

private:
    std::unique_ptr<PromptSource> lines_;
    std::vector<Request> queue_;
};

std::string text_input(Random& random) {
    std::string text;
    for (int line = 0; line < 25; ++line)
        text += std::string(random() % 9, 'x') + (random() % 6 == 0 ? "\xFF\n" : "y\n");
    return text;
}

Completion answer_to(const ParsedLine& line) {
    Completion made = answer(line);
    if (const auto* request = std::get_if<Request>(&line)) {
        made.index = request->index;
        made.n = request->sampling.n;
        made.ordinal = request->ordinal;
        made.api = request->api;
        made.text += "\\error \r" + std::to_string(request->index);
    }
    return made;
}

// Answers in any order what the writer lets begin.
void run_layout(const std::filesystem::path& input, const std::filesystem::path& output, OutputMode mode,
                const AnswerLayout& layout, Random& random) {
    CompletionFile file({output, mode, layout.format});
    auto lines = std::make_unique<SeveralEach>(open_prompts({input}, {.format = PromptFormat::Txt}));
    auto source = skip_finished(std::move(lines), file.begin(record()));
    AnswerWriter writer(file, layout);
    std::vector<ParsedLine> held;
    std::int64_t next = 0;
    for (bool more = true; more || !held.empty();) {
        for (; more && held.size() < 7 && writer.has_room_for(next); ++next) {
            auto line = source->next();
            more = line.has_value();
            if (!line) break;
            std::visit([&](const auto& item) { EXPECT_EQ(item.ordinal, next); }, *line);
            held.push_back(std::move(*line));
        }
        if (held.empty()) break;
        std::swap(held[random() % held.size()], held.back());
        writer.put(answer_to(held.back()), {});
        held.pop_back();
    }
    EXPECT_FALSE(writer.has_unwritten());
}

TEST(Resume, CutAtEveryByteEachFormatGivesTheSameLines) {
    for (unsigned seed = 0; seed < 8; ++seed) {
        SCOPED_TRACE(seed);
        const ScratchFolder folder;
        Random random(seed);
        constexpr OutputFormat formats[] = {OutputFormat::AsAsked, OutputFormat::Jsonl, OutputFormat::OpenAi,
                                            OutputFormat::Txt};
        const AnswerLayout layout{formats[seed % 4], seed >= 4, 4};
        const auto input = folder.put("in.txt", text_input(random));
        run_layout(input, folder / "whole", OutputMode::Fresh, layout, random);
        const std::string whole = content_of(folder / "whole");
        const auto expected = sorted_lines(whole);
        const std::int64_t errors = scan_completions(folder / "whole", layout.format).errors();
        EXPECT_GT(errors, 0);
        write_run_record(folder / "out", record());
        for (std::size_t size = random() % 90; size <= whole.size(); size += 1 + random() % 400) {
            folder.put("out", std::string_view(whole).substr(0, size));
            run_layout(input, folder / "out", OutputMode::Resume, layout, random);
            const std::string resumed = content_of(folder / "out");
            ASSERT_EQ(sorted_lines(resumed), expected) << "cut at " << size;
            const bool in_order = layout.ordered || layout.format == OutputFormat::Txt;
            ASSERT_EQ(in_order ? resumed : whole, whole);
            ASSERT_EQ(scan_completions(folder / "out", layout.format).errors(), errors);
        }
    }
}

TEST(Resume, ALineOfTxtIsWholeWithItsNewline) {
    const ScratchFolder folder;
    const auto path = folder.put("out", "one\n\n\\error bad_utf8 x\n\\\\error\nto");
    const Finished finished = scan_completions(path, OutputFormat::Txt);
    EXPECT_EQ(finished.leading(), 4);
    EXPECT_EQ(finished.lines(), 4);
    EXPECT_EQ(finished.errors(), 1);
    EXPECT_EQ(content_of(path), "one\n\n\\error bad_utf8 x\n\\\\error\n");
}

TEST(Resume, AnIndexFinishesItsCompletionAlone) {
    const ScratchFolder folder;
    const auto finished =
        scan_completions(folder.put("out", R"({"id":1,"index":1,"completion":"","finish_reason":"stop"})"
                                           "\n"
                                           R"({"id":2,"completion":"","finish_reason":"stop"})"
                                           "\n"));
    const auto has = [&](const std::string& id, int index) {
        Request request;
        request.id_json = id;
        request.index = index;
        request.sampling.n = 3;
        return finished.has(request);
    };
    EXPECT_FALSE(has("1", 0));
    EXPECT_TRUE(has("1", 1));
    EXPECT_FALSE(has("1", 2));
    EXPECT_TRUE(has("2", 0));
    EXPECT_TRUE(has("2", 2));
}

TEST(IdLedger, RemembersWhatWasInserted) {
    IdLedger ledger;
    EXPECT_FALSE(ledger.contains(""));
    for (int i = 0; i < 100000; ++i) ASSERT_TRUE(ledger.insert(std::to_string(i)));
    EXPECT_TRUE(ledger.insert(""));
    EXPECT_EQ(ledger.size(), 100001U);
    for (int i = 0; i < 100000; ++i) ASSERT_FALSE(ledger.insert(std::to_string(i)));
    for (int i = 100000; i < 200000; ++i) ASSERT_FALSE(ledger.contains(std::to_string(i)));
    EXPECT_EQ(ledger.size(), 100001U);
}

}  // namespace
}  // namespace sluice
