#include "text/merge_parts.hpp"

#include "core/error.hpp"
#include "core/json.hpp"
#include "text/answer_writer.hpp"
#include "text/answered.hpp"
#include "text/completion_file.hpp"
#include "text/durable_file.hpp"
#include "text/id_ledger.hpp"
#include "text/line_reader.hpp"
#include "text/partial_answers.hpp"
#include "text/partition.hpp"
#include "text/posix_file.hpp"
#include "text/run_record.hpp"
#include "text/utf8.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kShownBytes = 80;

// ---- the parts' records ----

struct Part {
    std::filesystem::path path;
    RunRecord record;
    Partition partition = {};
    AnswerLayout layout = {};
    std::int64_t lines = 0;
};

// A setting; null when the record has none of that name.
Json setting(const RunRecord& record, std::string_view name) {
    const std::string* json = record.find(name);
    return json == nullptr ? Json() : Json::parse(*json);
}

std::optional<Partition> partition_of(const RunRecord& record) {
    const Json partition = setting(record, "partition");
    return partition.is_string() ? parse_partition(partition.get<std::string>()) : std::nullopt;
}

// As far as it matters here: formats other than txt tell their lines apart by themselves.
AnswerLayout layout_of(const RunRecord& record) {
    const bool txt = setting(record, "output_format") == Json(name_of(OutputFormat::Txt));
    return {txt ? OutputFormat::Txt : OutputFormat::AsAsked, setting(record, "ordered") == Json(true)};
}

Part open_part(const std::filesystem::path& path) {
    Part part{path, read_run_record(path)};
    const auto partition = partition_of(part.record);
    require(partition.has_value(), ExitCode::Usage,
            "{} is no part: {} has no \"partition\": \"I/N\", as runs with --partition I/N write it",
            path.string(), run_record_path(path).string());
    part.partition = *partition;
    part.layout = layout_of(part.record);
    require(part.layout.format != OutputFormat::Txt || setting(part.record, "n") == Json(1), ExitCode::Usage,
            "{} is txt with more than one line a request (n in {}), which nothing tells apart: make the "
            "parts again as jsonl or openai",
            path.string(), run_record_path(path).string());
    const auto lines = finished_lines(part.record);
    require(lines.has_value(), ExitCode::File,
            "{} is not finished: run its command with --resume, until it ends by itself", path.string());
    part.lines = *lines;
    return part;
}

void require_same_settings(const Part& first, const Part& part) {
    std::vector<std::string> lines;
    for (const Difference& difference : differences(first.record, part.record)) {
        if (difference.name != "partition")
            lines.push_back(
                fmt::format("  {}: {} and {}", difference.name, difference.first, difference.second));
    }
    require(lines.empty(), ExitCode::Usage, "{} and {} were made with different settings:\n{}",
            first.path.string(), part.path.string(), fmt::join(lines, "\n"));
}

// In the order of their numbers.
std::vector<Part> open_parts(const std::vector<std::filesystem::path>& paths) {
    require(!paths.empty(), ExitCode::Usage, "no part given");
    std::vector<Part> parts;
    for (const auto& path : paths) parts.push_back(open_part(path));
    const auto number = [](const Part& part) { return part.partition.part; };
    const int count = parts[0].partition.parts;
    for (const Part& part : parts) {
        require(part.partition.parts == count, ExitCode::Usage,
                "{} is part {} of {}, and {} is part {} of {}", parts[0].path.string(), number(parts[0]),
                count, part.path.string(), number(part), part.partition.parts);
        require_same_settings(parts[0], part);
    }
    std::ranges::stable_sort(parts, {}, number);
    const auto twice = std::ranges::adjacent_find(parts, {}, number);
    if (twice != parts.end())
        fail(ExitCode::Usage, "{} and {} are both part {} of {}", twice->path.string(),
             (twice + 1)->path.string(), number(*twice), count);
    for (int wanted = 1; wanted <= count; ++wanted)
        require(std::ranges::binary_search(parts, wanted, {}, number), ExitCode::Usage,
                "part {} of {} is missing", wanted, count);
    return parts;
}

// ---- the parts' lines ----

// The lines of a part, one ahead.
class PartLines {
public:
    explicit PartLines(const Part& part)
        : part_(part),
          file_(open_to_read(part.path)),
          reader_(file_.fd(), part.path.string(), kMostAnswerBytes),
          has_ids_(part.layout.format != OutputFormat::Txt) {
        advance();
    }

    bool at_end() const { return !line_; }
    std::string_view text() const { return line_->text; }
    const Answered& answered() const { return answered_; }  // of a line with an id
    bool has_ids() const { return has_ids_; }
    std::string where() const { return fmt::format("{}:{}", part_.path.string(), line_->number); }
    const Part& part() const { return part_; }

    void advance() {
        line_ = reader_.next();
        if (!line_) {
            require(seen_ == part_.lines, ExitCode::File,
                    "{} has {} lines, and its record says that it was finished with {}: it was changed",
                    part_.path.string(), seen_, part_.lines);
            return;
        }
        ++seen_;
        if (!line_->whole)
            fail(ExitCode::File, "{}: the last line is torn: run the part's command with --resume", where());
        if (has_ids_) parse();
    }

    // Whether the line answers the same request as `before`, after it.
    bool continues(const Answered& before) const {
        return has_ids_ && !at_end() && before.index && answered_.index == *before.index + 1 &&
               answered_.id_json == before.id_json;
    }

private:
    void parse() {
        std::optional<Answered> answered;
        try {
            if (!line_->too_long) answered = parse_answered(line_->text);
        } catch (const Error&) {  // no JSON
        }
        if (!answered) fail(ExitCode::File, "{}: not a completion or a score: the file was changed", where());
        answered_ = std::move(*answered);
    }

    const Part& part_;
    PosixFile file_;
    LineReader reader_;
    bool has_ids_;
    std::optional<LineReader::Line> line_;
    Answered answered_;
    std::int64_t seen_ = 0;
};

// ---- the output ----

class Merger {
public:
    explicit Merger(WritePiece write) : write_(std::move(write)) {}

    void concatenate(const std::vector<Part>& parts) {
        for (const Part& part : parts) {
            for (PartLines lines(part); !lines.at_end();) copy_line(lines);
        }
    }

    // Request k of the input is in part k % N + 1.
    void interleave(const std::vector<Part>& parts) {
        std::vector<std::unique_ptr<PartLines>> all;
        for (const Part& part : parts) all.push_back(std::make_unique<PartLines>(part));
        std::size_t turn = 0;
        for (; !all[turn]->at_end(); turn = (turn + 1) % all.size()) copy_request(*all[turn]);
        const auto more = std::ranges::find_if(all, [](const auto& lines) { return !lines->at_end(); });
        if (more != all.end())
            fail(ExitCode::File,
                 "{} ends before the input's order comes to {}: they are not parts of one input",
                 all[turn]->part().path.string(), (*more)->where());
    }

    std::int64_t lines() const { return lines_; }

private:
    void copy_request(PartLines& lines) {
        for (bool more = true; more;) {
            const Answered before = lines.answered();
            copy_line(lines);
            more = lines.continues(before);
        }
    }

    void copy_line(PartLines& lines) {
        if (lines.has_ids() && !ids_.insert(lines.answered().key()))
            fail(ExitCode::File,
                 "{}: the id {} is answered twice, in one part or in two: parts are made of one input",
                 lines.where(), clip_utf8(lines.answered().id_json, kShownBytes));
        write_(lines.text());
        write_("\n");
        ++lines_;
        lines.advance();
    }

    WritePiece write_;
    IdLedger ids_;
    std::int64_t lines_ = 0;
};

// Nobody else writes an output that is there, as long as the result lives. No run begins on it: it stays as
// it is.
std::unique_ptr<CompletionFile> check_output(const MergeOptions& options) {
    const std::filesystem::path& output = options.output;
    std::error_code none;
    for (const auto& part : options.parts)
        require(!std::filesystem::equivalent(part, output, none), ExitCode::Usage,
                "--output {}: is a part, too", output.string());
    if (!std::filesystem::exists(output)) return nullptr;
    require(options.overwrite, ExitCode::Usage, "the output {} exists: give --overwrite to replace it",
            output.string());
    return std::make_unique<CompletionFile>(OutputOptions{output, OutputMode::Overwrite});
}

// The record of a finished run of the whole input.
RunRecord merged_record(const Part& part, std::int64_t lines) {
    RunRecord record = part.record;
    for (auto& [name, value] : record.values) {
        if (name == "partition") value = "\"1/1\"";
    }
    // A whole run records which files its lines are counted in only where these stand in order.
    if (!part.layout.in_order())
        std::erase_if(record.values, [](const auto& each) { return each.first == "prompts"; });
    add_end_mark(record, lines);
    return record;
}

}  // namespace

std::int64_t merge_parts(const MergeOptions& options) {
    const auto locked = check_output(options);
    const std::vector<Part> parts = open_parts(options.parts);
    Replacement file(options.output);
    Merger merger([&](std::string_view piece) { file.write(piece); });
    if (parts[0].layout.in_order())
        merger.interleave(parts);
    else
        merger.concatenate(parts);
    file.close();
    // Until here the old output can be resumed. No record ever stands beside lines that it does not describe.
    remove_file(run_record_path(options.output));
    remove_file(partial_path(options.output));
    file.install();
    write_run_record(options.output, merged_record(parts[0], merger.lines()));
    return merger.lines();
}

}  // namespace sluice
