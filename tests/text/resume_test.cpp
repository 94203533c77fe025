// Exactly once: a run cut off anywhere and resumed gives the lines of an undisturbed run.
#include "text/resume.hpp"

#include "support/scratch_folder.hpp"
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
    CompletionFile file(output, mode);
    auto source = skip_finished(open_prompts({input}, PromptFormat::Auto, {}), file.begin(record()));
    std::vector<ParsedLine> held;
    for (bool more = true; more || !held.empty();) {
        while (more && held.size() < 7) {
            auto line = source->next();
            more = line.has_value();
            if (line) held.push_back(std::move(*line));
        }
        if (held.empty()) break;
        std::swap(held[random() % held.size()], held.back());
        file.write(answer(held.back()));
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

TEST(Resume, CutAtEveryByteItGivesTheSameLines) {
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
