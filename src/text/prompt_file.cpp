#include "text/prompt_file.hpp"

#include "core/error.hpp"
#include "text/id_ledger.hpp"
#include "text/line_reader.hpp"
#include "text/posix_file.hpp"
#include "text/request_json.hpp"
#include "text/utf8.hpp"

#include <unistd.h>

#include <array>
#include <map>
#include <string>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kMaxLineBytes = std::size_t{64} << 20;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kBlank = " \t\r";

PromptFormat format_of_extension(const std::filesystem::path& path) {
    const std::string extension = path.extension().string();
    if (extension == ".jsonl" || extension == ".ndjson" || extension == ".json") return PromptFormat::Jsonl;
    return extension == ".txt" ? PromptFormat::Txt : PromptFormat::Auto;
}

struct PromptFile {
    std::filesystem::path path;
    PromptFormat format;
    PosixFile opened;  // pipes only: one that is closed again has lost its writer

    bool is_stdin() const { return path == "-"; }
};

// Read as text, every line would be an error record, and count as answered.
void refuse_compressed(const std::filesystem::path& path, const PosixFile& file) {
    if (!std::filesystem::is_regular_file(path)) return;
    std::array<unsigned char, 4> magic{};
    if (::pread(file.fd(), magic.data(), magic.size(), 0) < 2) return;
    const bool gzip = magic[0] == 0x1f && magic[1] == 0x8b;
    const bool zstd = magic == std::array<unsigned char, 4>{0x28, 0xb5, 0x2f, 0xfd};
    require(!gzip && !zstd, ExitCode::File,
            "{} is compressed with {}: unpack it, or pipe it into standard input ('-')", path.string(),
            gzip ? "gzip" : "zstd");
}

PromptFile check_file(const std::filesystem::path& path, PromptFormat format) {
    PromptFile file{path, format == PromptFormat::Auto ? format_of_extension(path) : format, PosixFile()};
    if (file.is_stdin()) return file;
    PosixFile opened = open_to_read(path);
    refuse_compressed(path, opened);
    if (!std::filesystem::is_regular_file(path)) file.opened = std::move(opened);
    return file;
}

class FileSource final : public PromptSource {
public:
    FileSource(std::vector<PromptFile> files, const Sampling& defaults, Purpose purpose)
        : files_(std::move(files)), defaults_(defaults), purpose_(purpose) {}

    std::optional<ParsedLine> next() override {
        while (reader_ || start_next_file()) {
            const auto line = reader_->next();
            if (!line) {
                reader_.reset();
            } else if (auto parsed = parse(*line)) {
                return parsed;
            }
        }
        return std::nullopt;
    }

    bool ready(int milliseconds) override {
        return (!reader_ && !start_next_file()) || reader_->ready(milliseconds);
    }

private:
    bool start_next_file() {
        if (next_file_ == files_.size()) return false;
        PromptFile& file = files_[next_file_++];
        input_ = file.is_stdin() || file.opened.is_open() ? std::move(file.opened) : open_to_read(file.path);
        reader_.emplace(file.is_stdin() ? STDIN_FILENO : input_.fd(),
                        file.is_stdin() ? "standard input" : file.path.string(), kMaxLineBytes);
        name_ = repair_utf8(file.path.filename().string());
        format_ = file.format;
        return true;
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
        if (line.too_long)
            return failed_line(where, "line_too_long",
                               fmt::format("the line is longer than {} MiB", kMaxLineBytes >> 20));
        return format_ == PromptFormat::Jsonl ? parse_jsonl_line(text, where, defaults_, purpose_)
                                              : parse_txt_line(text, where, defaults_);
    }

    std::vector<PromptFile> files_;
    Sampling defaults_;
    Purpose purpose_;
    std::size_t next_file_ = 0;
    PosixFile input_;
    std::optional<LineReader> reader_;
    std::string name_;
    PromptFormat format_ = PromptFormat::Auto;
};

class UniqueIds final : public PromptSource {
public:
    explicit UniqueIds(std::unique_ptr<PromptSource> lines) : lines_(std::move(lines)) {}

    std::optional<ParsedLine> next() override {
        auto line = lines_->next();
        if (line) std::visit([&](auto& item) { check_id(item, *line); }, *line);
        return line;
    }

    bool ready(int milliseconds) override { return lines_->ready(milliseconds); }

private:
    template <class Item>
    void check_id(Item& item, ParsedLine& line) {
        if (seen_.insert(item.id_json)) return;
        const std::string what = fmt::format("an earlier line has the id {}", clip_utf8(item.id_json, 80));
        RequestError error = error_at(item.where, "duplicate_id", what);
        if (const auto* request = std::get_if<Request>(&line))
            line = failed_request(*request, std::move(error));
        else
            std::get<FailedRequest>(line).error = std::move(error);
    }

    std::unique_ptr<PromptSource> lines_;
    IdLedger seen_;
};

}  // namespace

std::unique_ptr<PromptSource> open_prompts(const std::vector<std::filesystem::path>& paths,
                                           PromptFormat format, const Sampling& defaults, Purpose purpose) {
    require(!paths.empty(), ExitCode::Usage, "no prompt file given");
    std::vector<PromptFile> files;
    std::map<std::string, std::string> path_of_name;
    for (const auto& path : paths) {
        files.push_back(check_file(path, format));
        const auto [other, added] = path_of_name.emplace(path.filename().string(), path.string());
        require(
            added, ExitCode::Usage,
            "the prompt files {} and {} have the same name, so {}:1 would be a line of both: rename one, and "
            "give each file once",
            other->second, path.string(), other->first);
    }
    return std::make_unique<UniqueIds>(std::make_unique<FileSource>(std::move(files), defaults, purpose));
}

}  // namespace sluice
