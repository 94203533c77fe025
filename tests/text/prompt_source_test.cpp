#include "text/prompt_source.hpp"

#include "support/scratch_folder.hpp"
#include "text/posix_file.hpp"
#include "text/prompt_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <set>

namespace sluice {
namespace {

// "a", "a#1" for the second of its completions, "!a" for an error.
std::string name_of(const ParsedLine& line) {
    if (const auto* failed = std::get_if<FailedRequest>(&line)) return "!" + failed->id;
    const auto& request = std::get<Request>(line);
    return request.index == 0 ? request.id : fmt::format("{}#{}", request.id, request.index);
}

std::vector<std::string> names(PromptSource& source) {
    std::vector<std::string> names;
    while (auto line = source.next()) names.push_back(name_of(*line));
    return names;
}

TEST(Partition, IsReadAsItIsWritten) {
    const auto read = [](std::string_view text) {
        const auto partition = parse_partition(text);
        return partition ? std::pair(partition->part, partition->parts) : std::pair(0, 0);
    };
    EXPECT_EQ(read("1/1"), std::pair(1, 1));
    EXPECT_EQ(read("7/2147483647"), std::pair(7, 2147483647));
    for (const char* bad : {"", "1", "/", "1/", "/2", "0/2", "3/2", "-1/2", "1/-2", " 1/2", "1/2 ", "1/2/3",
                            "+1/2", "1.0/2", "1/2147483648", "a/b"})
        EXPECT_EQ(read(bad), std::pair(0, 0)) << bad;
}

TEST(Partition, SharesAddUp) {
    for (const std::int64_t lines : {0, 1, 5, 6, 7, 1000}) {
        for (const int parts : {1, 2, 3, 7, 2147483647}) {
            std::int64_t sum = 0;
            for (int part = 1; part <= std::min(parts, 10); ++part) {
                const Partition partition{part, parts};
                std::int64_t count = 0;
                for (std::int64_t line = 0; line < lines; ++line) count += partition.has(line) ? 1 : 0;
                EXPECT_EQ(partition.share_of(lines), count) << part << "/" << parts << " of " << lines;
                sum += count;
            }
            EXPECT_TRUE(sum == lines || parts > 10);
        }
    }
}

TEST(PromptStages, EveryLineIsInOnePart) {
    const ScratchFolder folder;
    const std::vector<std::filesystem::path> paths{
        folder.put("a.jsonl", "{\"id\":1,\"prompt\":\"p\"}\n\n{\"id\":2,\"prompt\":\"p\",\"n\":3}\nbad\n"),
        folder.put("b.jsonl",
                   "{\"id\":1,\"prompt\":\"p\",\"n\":2}\n{\"id\":3,\"prompt\":\"p\"}\n{\"prompt\":\"p\"}")};
    const auto part = [&](int number, int parts) {
        return names(*open_prompts(paths, {.partition = {number, parts}}));
    };
    using Names = std::vector<std::string>;
    EXPECT_EQ(part(1, 1), (Names{"1", "2", "2#1", "2#2", "!a.jsonl:4", "!1", "3", "b.jsonl:3"}));
    EXPECT_EQ(part(1, 2), (Names{"1", "!a.jsonl:4", "3"}));
    // The repeated id is an error, although its first line is in the other part.
    EXPECT_EQ(part(2, 2), (Names{"2", "2#1", "2#2", "!1", "b.jsonl:3"}));
    EXPECT_EQ(part(7, 7), Names{});
}

TEST(PromptStages, TheDefaultsMayAskForSeveralCompletions) {
    const ScratchFolder folder;
    const auto path = folder.put("a.txt", "x\ny\n");
    const auto source = open_prompts({path}, {.defaults = {.seed = 5, .stop = {}, .n = 2}});
    std::set<std::pair<std::string, int>> seen;
    while (const auto line = source->next()) {
        const auto& request = std::get<Request>(*line);
        EXPECT_EQ(request.sampling.n, 2);
        EXPECT_EQ(request.sampling.seed, 5U);
        EXPECT_EQ(std::get<std::string>(request.input), request.id == "a.txt:1" ? "x" : "y");
        seen.emplace(request.id, request.index);
    }
    EXPECT_EQ(seen, (std::set<std::pair<std::string, int>>{
                        {"a.txt:1", 0}, {"a.txt:1", 1}, {"a.txt:2", 0}, {"a.txt:2", 1}}));
}

TEST(PromptStages, RefuseMoreCompletionsThanTheirBound) {
    const ScratchFolder folder;
    const auto path = folder.put("a.jsonl",
                                 "{\"id\":1,\"prompt\":\"p\",\"n\":2}\n{\"id\":2,\"prompt\":\"p\"}\n"
                                 "{\"id\":3,\"prompt\":\"p\",\"n\":3,\"meta\":4}\n");
    const auto source = open_prompts({path}, {.most_completions = 2});
    EXPECT_EQ(name_of(*source->next()), "1");
    EXPECT_EQ(name_of(*source->next()), "1#1");
    EXPECT_EQ(name_of(*source->next()), "2");
    const auto failed = std::get<FailedRequest>(*source->next());
    EXPECT_EQ(failed.id_json, "3");
    EXPECT_EQ(failed.meta_json, "4");
    EXPECT_EQ(failed.error.code, "bad_option");
    EXPECT_TRUE(failed.error.message.starts_with("a.jsonl:3: n is 3: ")) << failed.error.message;
    EXPECT_FALSE(source->next());
    expect_error([&] { open_prompts({path}, {.defaults = {.stop = {}, .n = 3}, .most_completions = 2}); },
                 ExitCode::Usage, {"n is 3", "jsonl"});
}

// Otherwise a run that waits for an input of this kind could not be stopped.
TEST(PromptStages, SpendOnlyAWhileOnLinesThatAskForNothing) {
    const ScratchFolder folder;
    const std::string blank(5000, '\n');
    std::string others;
    for (int line = 0; line < 5000; ++line) others += "x\n";
    for (const std::string& lines : {blank, others}) {
        const auto source = open_prompts({folder.put("a.txt", lines + "y\n")}, {.partition = {5001, 5001}});
        EXPECT_FALSE(source->ready(0));
        int calls = 1;
        while (calls < 100 && !source->ready(0)) ++calls;
        EXPECT_LT(calls, 100);
        EXPECT_EQ(source->next().has_value(), lines == others);
    }
}

TEST(PromptStages, AreReadyOnlyWithALineOfTheirs) {
    const ScratchFolder folder;
    ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
    const PosixFile output = open_file(folder / "pipe", O_RDWR);  // so that neither end waits for the other
    const auto source =
        open_prompts({folder / "pipe"}, {.defaults = {.stop = {}, .n = 2}, .partition = {2, 2}});
    EXPECT_FALSE(source->ready(0));
    ASSERT_EQ(write_all(output.fd(), "first\n\n  \n"), 0);
    EXPECT_FALSE(source->ready(0)) << "the other part's line, and blank ones";
    ASSERT_EQ(write_all(output.fd(), "second\nthird\n"), 0);
    EXPECT_TRUE(source->ready(0));
    EXPECT_TRUE(source->ready(0));
    EXPECT_EQ(name_of(*source->next()), "pipe:4");
    EXPECT_TRUE(source->ready(0));
    EXPECT_EQ(name_of(*source->next()), "pipe:4#1");
    EXPECT_FALSE(source->ready(0));
    ASSERT_EQ(write_all(output.fd(), "fourth\n"), 0);
    EXPECT_TRUE(source->ready(0));
    EXPECT_EQ(name_of(*source->next()), "pipe:6");
}

}  // namespace
}  // namespace sluice
