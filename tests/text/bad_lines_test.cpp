// Every kind of bad line, and the record that answers it, byte for byte: tests/data/bad-lines/NAME and, of
// its records, NAME.errors.
#include "support/scratch_folder.hpp"
#include "text/completion_file.hpp"
#include "text/prompt_file.hpp"

#include <regex>
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

TEST(BadLines, AreOfEveryCode) {
    std::set<std::string> codes{"line_too_long"};  // a line of 64 MiB is no file of ours
    static const std::regex in_record(R"re("code":"(\w+)")re");
    for (const BadLines& file : kFiles) {
        const std::string records = content_of(kFolder / (file.name + ".errors"));
        for (std::sregex_iterator found(records.begin(), records.end(), in_record), end; found != end;
             ++found)
            codes.insert(found->str(1));
    }
    // The first table of the README's last section, up to the codes of the engine.
    std::string readme = content_of(SLUICE_TEXT_README);
    readme.erase(0, readme.find("## Error codes"));
    readme.erase(readme.find("| code | raised later"));
    static const std::regex in_table(R"(\n\| `(\w+)` \|)");
    std::set<std::string> documented;
    for (std::sregex_iterator found(readme.begin(), readme.end(), in_table), end; found != end; ++found)
        documented.insert(found->str(1));
    EXPECT_EQ(codes, documented);
}

}  // namespace
}  // namespace sluice
