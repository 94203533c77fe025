#include "text/prompt_file.hpp"

#include "core/error.hpp"
#include "text/line_reader.hpp"
#include "text/posix_file.hpp"
#include "text/request_json.hpp"
#include "text/utf8.hpp"

#include <unistd.h>

#include <map>
#include <string>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kMaxLineBytes = std::size_t{64} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kBlank = " \t\r";

struct PromptFile {
    std::filesystem::path path;
    PromptFormat format;
    PosixFile opened;  // pipes only: one that is closed again has lost its writer

    bool is_stdin() const { return path == "-"; }
};

PromptFile check_file(const std::filesystem::path& path, PromptFormat format) {
    PromptFile file{path, format == PromptFormat::Auto ? format_of_name(path) : format, PosixFile()};
    if (file.is_stdin()) return file;
    PosixFile opened = open_to_read(path);
    if (!std::filesystem::is_regular_file(path)) file.opened = std::move(opened);
    return file;
}

class FileSource final : public PromptSource {
public:
    FileSource(std::vector<PromptFile> files, const PromptOptions& options)
        : files_(std::move(files)), options_(options) {}

    std::optional<ParsedLine> next() override {
        while (!found()) take();
        return std::exchange(held_, std::nullopt);
    }

    // Passes over blank lines, for next() must not wait for what follows them: some of them at once.
    bool ready(int milliseconds) override {
        for (int looks = 0; looks < kLooks && !found(); ++looks, milliseconds = 0) {
            if (!reader_->ready(milliseconds)) return false;
            take();
        }
        return found();
    }

private:
    static constexpr int kLooks = 1000;

    // A line, or the end of the last file. If not, a file is open.
    bool found() { return held_ || (!reader_ && !start_next_file()); }

    bool start_next_file() {
        if (next_file_ == files_.size()) return false;
        PromptFile& file = files_[next_file_++];
        input_ = file.is_stdin() || file.opened.is_open() ? std::move(file.opened) : open_to_read(file.path);
        reader_.emplace(unpacked_bytes_of(file.is_stdin() ? STDIN_FILENO : input_.fd(),
                                          file.is_stdin() ? "standard input" : file.path.string()),
                        kMaxLineBytes);
        name_ = repair_utf8(file.path.filename().string());
        format_ = file.format;
        return true;
    }

    void take() {
        if (const auto line = reader_->next())
            held_ = parse(*line);
        else
            reader_.reset();
    }

    // Nothing for a blank line.
    std::optional<ParsedLine> parse(const LineReader::Line& line) {
        std::string_view text = line.text;
        if (line.number == 1 && text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
        const std::size_t first = text.find_first_not_of(kBlank);
        const bool blank = first == std::string_view::npos;
        if (blank && !line.too_long) return std::nullopt;
        if (format_ == PromptFormat::Auto)
            format_ = !blank && text[first] == '{' ? PromptFormat::Jsonl : PromptFormat::Txt;
        const std::string where = fmt::format("{}:{}", name_, line.number);
        if (line.too_long) return too_long(where);
        return format_ == PromptFormat::Txt ? parse_txt_line(text, where, options_.defaults)
                                            : parse_json_line(text, where, options_);
    }

    FailedRequest too_long(const std::string& where) const {
        const std::string what = fmt::format("the line is longer than {} MiB", kMaxLineBytes >> 20);
        FailedRequest failed = failed_line(where, "line_too_long", what);
        if (format_ == PromptFormat::OpenAi) failed.api = Api::Chat;
        return failed;
    }

    std::vector<PromptFile> files_;
    PromptOptions options_;
    std::size_t next_file_ = 0;
    PosixFile input_;
    std::optional<LineReader> reader_;
    std::string name_;
    PromptFormat format_ = PromptFormat::Auto;  // of the file: never Auto once a line of it was read
    std::optional<ParsedLine> held_;
};

// What every file is, as far as the options tell.
PromptFormat format_of(const PromptOptions& options) {
    const bool has_field = !options.field.empty();
    require(!has_field || options.format == PromptFormat::Auto || options.format == PromptFormat::Jsonl,
            ExitCode::Usage, "the field {} was named, which only jsonl has: leave the prompt format out",
            options.field);
    require(options.format != PromptFormat::OpenAi || options.purpose == Purpose::Generate, ExitCode::Usage,
            "lines of the Batch API ask for completions: there is no text in them to score");
    return has_field ? PromptFormat::Jsonl : options.format;
}

}  // namespace

std::unique_ptr<PromptSource> open_prompts(const std::vector<std::filesystem::path>& paths,
                                           const PromptOptions& options) {
    require(!paths.empty(), ExitCode::Usage, "no prompt file given");
    require(options.defaults.n <= options.most_completions, ExitCode::Usage, "{}",
            too_many_completions(options.defaults.n));
    std::vector<PromptFile> files;
    std::map<std::string, std::string> path_of_name;
    for (const auto& path : paths) {
        files.push_back(check_file(path, format_of(options)));
        const auto [other, added] = path_of_name.emplace(path.filename().string(), path.string());
        require(
            added, ExitCode::Usage,
            "the prompt files {} and {} have the same name, so {}:1 would be a line of both: rename one, and "
            "give each file once",
            other->second, path.string(), other->first);
    }
    auto lines = with_unique_ids(std::make_unique<FileSource>(std::move(files), options));
    return one_by_one(part_of(std::move(lines), options.partition), options.most_completions);
}

}  // namespace sluice
