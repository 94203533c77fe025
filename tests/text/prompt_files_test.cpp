// Prompt files as files: names, formats, pipes, long lines. What their lines say is prompt_file_test's.
#include "packed.hpp"
#include "prompt_reading.hpp"
#include "support/scratch_folder.hpp"
#include "text/posix_file.hpp"
#include "text/prompt_count.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

namespace sluice {
namespace {

using testing::HasSubstr;

// ---- files ----

TEST(PromptFiles, TheFormatFollowsTheNameThenTheFirstByte) {
    const ScratchFolder folder;
    const std::string json = "\n \n  {\"prompt\":\"p\"}\n";
    EXPECT_EQ(prompt(read_all({folder.put("a.json", json)}).at(0)), "p");
    EXPECT_EQ(prompt(read_all({folder.put("a.ndjson", json)}).at(0)), "p");
    EXPECT_EQ(prompt(read_all({folder.put("a", json)}).at(0)), "p");
    EXPECT_EQ(prompt(read_all({folder.put("a.txt", json)}).at(0)), "  {\"prompt\":\"p\"}");
    EXPECT_EQ(prompt(read_all({folder.put("b", "plain\n{\"prompt\":\"p\"}\n")}).at(1)), "{\"prompt\":\"p\"}");
    EXPECT_EQ(prompt(read_all({folder / "a.txt"}, PromptFormat::Jsonl).at(0)), "p");
    EXPECT_EQ(code(read_all({folder / "b"}, PromptFormat::Jsonl).at(0)), "bad_json");
    EXPECT_EQ(code(read_all({folder.put("c.jsonl", "plain\n")}).at(0)), "bad_json");
    EXPECT_TRUE(read_all({folder.put("d", ""), folder.put("e.jsonl", "\n\n")}).empty());
    const std::string batch = R"({"custom_id":"c","url":"/v1/completions","body":{"prompt":"p"}})"
                              "\n{\"prompt\":\"q\"}\n";
    const auto mixed = read_all({folder.put("f.jsonl", batch)});
    EXPECT_EQ(request(mixed.at(0)).api, Api::Completions);
    EXPECT_EQ(request(mixed.at(1)).api, Api::None);
    EXPECT_EQ(code(read_all({folder / "f.jsonl"}, PromptFormat::Jsonl).at(0)), "unknown_key");
    EXPECT_EQ(code(read_all({folder / "f.jsonl"}, PromptFormat::OpenAi).at(1)), "bad_id");
    EXPECT_EQ(std::get<FailedRequest>(read_all({folder / "b"}, PromptFormat::OpenAi).at(0)).api, Api::Chat);
}

TEST(PromptFiles, AreCheckedBeforeTheFirstLine) {
    const ScratchFolder folder;
    const auto good = folder.put("good.txt", "a\n");
    const auto open = [](const Paths& paths) { open_prompts(paths, {}); };
    expect_error([&] { open({}); }, ExitCode::Usage, {"no prompt file"});
    expect_error([&] { open({good, folder / "none.txt"}); }, ExitCode::File, {"none.txt", "No such file"});
    expect_error([&] { open({good, folder.path()}); }, ExitCode::File, {folder.path().string(), "folder"});
    expect_error(
        [&] {
            open({good, good / "below"});
        },
        ExitCode::File, {"good.txt/below", "Not a directory"});
    std::filesystem::create_directory(folder / "sub");
    expect_error(
        [&] {
            open({good, folder.put("sub/good.txt", "b\n")});
        },
        ExitCode::Usage, {good.string(), (folder / "sub/good.txt").string(), "good.txt:1"});
    expect_error([&] { open({good, good}); }, ExitCode::Usage, {good.string()});
    expect_error([&] { open({"-", "-"}); }, ExitCode::Usage, {"-"});
}

TEST(PromptFiles, MayBePacked) {
    const ScratchFolder folder;
    const std::string json = "{\"prompt\":\"{\"}\n\n{\"prompt\":\"q\"}\n";
    const auto lines = read_all({folder.put("a.jsonl.gz", gzip(json)), folder.put("b.txt.zst", zstd("{t\n")),
                                 folder.put("c", gzip(json)), folder.put("d.jsonl", zstd(json)),
                                 folder.put("e.txt.gz", "not packed\n")});
    ASSERT_EQ(lines.size(), 8U);
    EXPECT_EQ(prompt(lines[0]), "{");
    EXPECT_EQ(request(lines[1]).id, "a.jsonl.gz:3");
    EXPECT_EQ(prompt(lines[2]), "{t");
    EXPECT_EQ(prompt(lines[4]), "q");
    EXPECT_EQ(prompt(lines[6]), "q");
    EXPECT_EQ(prompt(lines[7]), "not packed");
    const auto torn = folder.put("torn.jsonl.gz", gzip(json).substr(0, 20));
    expect_error([&] { read_all({torn}); }, ExitCode::File, {torn.string(), "gzip", "cut short"});
}

TEST(PromptFiles, AreCountedWhereTheyArePlain) {
    const ScratchFolder folder;
    const auto a = folder.put("a.txt", "1\n\n2\n \t\r\n3");
    const auto b = folder.put("b.jsonl", "4\n5\n");
    EXPECT_EQ(count_requests({a, b}), 5);
    EXPECT_EQ(count_requests({a, b}, {.part = 1, .parts = 2}), 3);
    EXPECT_EQ(count_requests({a, b}, {.part = 2, .parts = 2}), 2);
    EXPECT_EQ(count_requests({a, b}, {.part = 7, .parts = 7}), 0);
    EXPECT_EQ(count_requests({a, "-"}), std::nullopt);
    EXPECT_EQ(count_requests({a, folder.put("c.txt", gzip("1\n"))}), std::nullopt);
    EXPECT_EQ(count_requests({folder.put("d.txt", zstd("1\n")), a}), std::nullopt);
    EXPECT_EQ(count_requests({folder.put("e.txt", "(")}), 1) << "begins as zstd does";
}

TEST(PromptFiles, AreReadInOrder) {
    const ScratchFolder folder;
    const auto lines = read_all({folder.put("b.txt", "1\n2"), folder.put("a.jsonl", "{\"prompt\":\"3\"}")});
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_EQ(prompt(lines[0]) + prompt(lines[1]) + prompt(lines[2]), "123");
    EXPECT_EQ(request(lines[2]).id, "a.jsonl:1");
}

TEST(PromptFiles, StandardInputThroughAPipe) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const int saved = ::dup(STDIN_FILENO);
    ::dup2(ends[0], STDIN_FILENO);
    ::close(ends[0]);
    std::thread writer([&] {
        for (const char* part : {"{\"prompt\":\"o", "ne\"}\r\n\n{\"prompt\":", "\"two\"}"}) {
            EXPECT_EQ(write_all(ends[1], part), 0);
            std::this_thread::yield();
        }
        ::close(ends[1]);
    });
    const auto lines = read_all({"-"});
    writer.join();
    ::dup2(saved, STDIN_FILENO);
    ::close(saved);
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(prompt(lines[0]) + prompt(lines[1]), "onetwo");
    EXPECT_EQ(request(lines[1]).id, "-:3");
}

TEST(PromptFiles, ANamedPipeIsOpenedOnce) {
    const ScratchFolder folder;
    ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
    std::thread writer([&] {
        const PosixFile file = open_file(folder / "pipe", O_WRONLY);
        EXPECT_EQ(write_all(file.fd(), "a\nb\n"), 0);
    });
    const auto lines = read_all({folder / "pipe"});
    writer.join();
    EXPECT_EQ(lines.size(), 2U);
}

TEST(PromptFiles, ANameThatIsNotUtf8GivesAnIdThatIs) {
    const ScratchFolder folder;
    const auto lines = read_all({folder.put("\xFF.txt", "a\n")});
    EXPECT_EQ(request(lines.at(0)).id, "\xEF\xBF\xBD.txt:1");
}

// ---- long lines ----

TEST(PromptFiles, ALineOf64MiBIsTheLongest) {
    const ScratchFolder folder;
    const std::size_t limit = std::size_t{64} << 20;
    const auto path = folder.put("p.txt", "");
    std::ofstream(path, std::ios::binary) << std::string(limit, 'a') << "\r\n"
                                          << std::string(limit + 1, 'b') << "\nshort\n";
    const auto lines = read_all({path});
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_EQ(prompt(lines[0]).size(), limit);
    EXPECT_EQ(code(lines[1]), "line_too_long");
    EXPECT_EQ(std::get<FailedRequest>(lines[1]).id, "p.txt:2");
    EXPECT_EQ(prompt(lines[2]), "short");
}

TEST(PromptFiles, AnEndlessLineIsPassedOverInBoundedMemory) {
    const ScratchFolder folder;
    const auto path = folder.put("p.jsonl", "{\"prompt\":\"a\"}\n");
    const std::int64_t end = std::int64_t{3} << 29;
    ASSERT_EQ(::truncate(path.c_str(), end), 0);  // a hole: one line of zeros, without disk
    std::ofstream(path, std::ios::binary | std::ios::app) << "\n{\"prompt\":\"b\"}\n";
    const auto peak_kib = [] {
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        return usage.ru_maxrss;
    };
    const long before = peak_kib();
    const auto lines = read_all({path});
    EXPECT_LT(peak_kib() - before, 512L << 10);
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_EQ(code(lines[1]), "line_too_long");
    EXPECT_EQ(prompt(lines[2]), "b");
}

}  // namespace
}  // namespace sluice
