// Every kind of bad line, and the record that answers it, byte for byte: tests/data/bad-lines/NAME and, of
// its records, NAME.errors.
#include "support/scratch_folder.hpp"
#include "text/completion_file.hpp"
#include "text/prompt_file.hpp"

#include <set>

namespace sluice {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(SLUICE_TEST_DATA) / "bad-lines";

struct BadLines {
    std::string name;
    PromptFormat format;
    Purpose purpose;
    int good;  // lines that are right
};

const std::vector<BadLines> kFiles{{"text.txt", PromptFormat::Auto, Purpose::Generate, 2},
                                   {"jsonl.jsonl", PromptFormat::Auto, Purpose::Generate, 2},
                                   {"openai.jsonl", PromptFormat::OpenAi, Purpose::Generate, 2},
                                   {"score.jsonl", PromptFormat::Auto, Purpose::Score, 1}};

TEST(BadLines, AreAnsweredByTheseRecords) {
    for (const BadLines& file : kFiles) {
        const auto source =
            open_prompts({kFolder / file.name}, {.format = file.format, .purpose = file.purpose});
        std::string records;
        int good = 0;
        while (const auto line = source->next()) {
            const auto* failed = std::get_if<FailedRequest>(&*line);
            if (failed != nullptr)
                records += to_json_line(error_record(*failed)) + "\n";
            else
                ++good;
        }
        EXPECT_EQ(records, content_of(kFolder / (file.name + ".errors"))) << file.name;
        EXPECT_EQ(good, file.good) << file.name;
    }
}

// What stands between `before` and `after` wherever it does, as far as it is a word.
void add_words(const std::string& text, const std::string& before, const std::string& after,
               std::set<std::string>& words) {
    for (std::size_t at = text.find(before); at != std::string::npos; at = text.find(before, at + 1)) {
        const std::size_t begin = at + before.size();
        const std::size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_8", begin);
        if (text.compare(end, after.size(), after) == 0) words.insert(text.substr(begin, end - begin));
    }
}

TEST(BadLines, AreOfEveryCode) {
    std::set<std::string> codes{"line_too_long"};  // a line of 64 MiB is no file of ours
    for (const BadLines& file : kFiles)
        add_words(content_of(kFolder / (file.name + ".errors")), "\"code\":\"", "\"", codes);
    // The first table of the README's last section, up to the codes of the engine.
    std::string readme = content_of(SLUICE_TEXT_README);
    readme.erase(0, readme.find("## Error codes"));
    readme.erase(readme.find("| code | raised later"));
    std::set<std::string> documented;
    add_words(readme, "\n| `", "` |", documented);
    EXPECT_EQ(codes, documented);
}

}  // namespace
}  // namespace sluice
