#include "text/prompt_paths.hpp"

#include "support/scratch_folder.hpp"

namespace sluice {
namespace {

using Paths = std::vector<std::filesystem::path>;

class PromptPaths : public testing::Test {
protected:
    Paths expand(std::initializer_list<std::string> names) const {
        Paths paths;
        for (const std::string& name : names)
            paths.push_back(name == "-" ? std::filesystem::path(name) : folder / name);
        Paths relative;
        for (const auto& path : expand_prompt_paths(paths))
            relative.push_back(path == "-" ? path : path.lexically_relative(folder.path()));
        return relative;
    }
    void refuses(const std::string& name, std::initializer_list<std::string_view> parts) const {
        expect_error([&] { expand({name}); }, ExitCode::File, parts);
    }
    void make_folder(const std::string& name) const { std::filesystem::create_directory(folder / name); }

    ScratchFolder folder;
};

TEST_F(PromptPaths, AreTakenAsTheyAre) {
    folder.put("b.txt", "");
    folder.put("a.bin", "");
    EXPECT_EQ(expand({"b.txt", "-", "a.bin", "none.txt"}), (Paths{"b.txt", "-", "a.bin", "none.txt"}));
}

TEST_F(PromptPaths, OfAFolderAreItsPromptFiles) {
    make_folder("in");
    for (const char* name : {"b.txt", "B.jsonl", "a.json.gz", "a.ndjson.zst", "\xC3\xA9.txt", "c.csv", "d.gz",
                             ".hidden.txt", "readme"})
        folder.put(std::string("in/") + name, "");
    make_folder("in/sub.txt");
    EXPECT_EQ(expand({"in"}),
              (Paths{"in/B.jsonl", "in/a.json.gz", "in/a.ndjson.zst", "in/b.txt", "in/\xC3\xA9.txt"}));
    make_folder("empty");
    refuses("empty", {(folder / "empty").string(), "no prompt files", ".jsonl"});
}

TEST_F(PromptPaths, OfAPatternAreItsMatches) {
    make_folder("a");
    make_folder("a-b");
    for (const char* name : {"x2.txt", "x10.txt", "y.log", "a/z.jsonl", "a-b/z2.jsonl", ".x.txt"})
        folder.put(name, "");
    EXPECT_EQ(expand({"x*.txt"}), (Paths{"x10.txt", "x2.txt"}));
    EXPECT_EQ(expand({"[xy]?*"}), (Paths{"x10.txt", "x2.txt", "y.log"}));
    EXPECT_EQ(expand({"a*/z*"}), (Paths{"a-b/z2.jsonl", "a/z.jsonl"}));
    EXPECT_EQ(expand({"a*"}), (Paths{"a/z.jsonl", "a-b/z2.jsonl"})) << "folders stand for their files";
    refuses("q*.txt", {(folder / "q*.txt").string(), "no file matches"});
}

TEST_F(PromptPaths, ThatExistAreNoPatterns) {
    folder.put("x[1].txt", "");
    folder.put("x1.txt", "");
    folder.put("*", "");
    EXPECT_EQ(expand({"x[1].txt", "*"}), (Paths{"x[1].txt", "*"}));
    EXPECT_EQ(expand({"x[1]*"}), Paths{"x1.txt"});
}

TEST(PromptNames, TellTheFormat) {
    for (const char* name : {"a.jsonl", "a.ndjson", "a.json", "a.jsonl.gz", "x/a.b.json.zst"})
        EXPECT_EQ(format_of_name(name), PromptFormat::Jsonl) << name;
    for (const char* name : {"a.txt", "a.txt.gz", "a.jsonl.txt.zst"})
        EXPECT_EQ(format_of_name(name), PromptFormat::Txt) << name;
    for (const char* name : {"a", "a.gz", "a.zst", "-", ".txt", "txt.gz", "a.jsonl.gz.gz"})
        EXPECT_EQ(format_of_name(name), PromptFormat::Auto) << name;
}

}  // namespace
}  // namespace sluice
