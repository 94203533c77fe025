#include "text/run_record.hpp"

#include "core/json.hpp"
#include "text/durable_file.hpp"
#include "text/request_json.hpp"
#include "text/utf8.hpp"

#include <fmt/ranges.h>

#include <algorithm>

namespace sluice {
namespace {

constexpr std::size_t kShownBytes = 200;
constexpr std::string_view kEndMark = "finished";

std::string to_text(const RunRecord& record) {
    std::string text = "{";
    for (const auto& [name, value] : record.values)
        text += fmt::format("{}\n  {}: {}", text.size() > 1 ? "," : "", to_json_string(name), value);
    return text + "\n}\n";
}

// A value as it stands in a message; "nothing" for none.
std::string shown(const std::string* value) {
    return value == nullptr ? "nothing" : clip_utf8(Json::parse(*value).dump(), kShownBytes);
}

void remove(RunRecord& record, std::string_view name) {
    std::erase_if(record.values, [&](const auto& item) { return item.first == name; });
}

bool same(const std::string* first, const std::string* second) {
    if (first == nullptr || second == nullptr) return first == second;
    return Json::parse(*first) == Json::parse(*second);
}

}  // namespace

void RunRecord::add_text(std::string name, std::string_view text) {
    add_json(std::move(name), to_json_string(text));
}

void RunRecord::add_json(std::string name, std::string json) {
    values.emplace_back(std::move(name), std::move(json));
}

const std::string* RunRecord::find(std::string_view name) const {
    const auto found = std::ranges::find(values, name, [](const auto& item) { return item.first; });
    return found == values.end() ? nullptr : &found->second;
}

void add_sampling(RunRecord& record, const Sampling& sampling) {
    // fmt writes the shortest decimal that reads back as the same float.
    const auto number = [&](const char* name, auto value) {
        record.add_json(name, fmt::format("{}", value));
    };
    number("max_new_tokens", sampling.max_new_tokens);
    number("temperature", sampling.temperature);
    number("top_k", sampling.top_k);
    number("top_p", sampling.top_p);
    number("min_p", sampling.min_p);
    number("repetition_penalty", sampling.repetition_penalty);
    number("seed", sampling.seed);
    std::vector<std::string> stop;
    for (const std::string& text : sampling.stop) stop.push_back(to_json_string(text));
    record.add_json("stop", fmt::format("[{}]", fmt::join(stop, ", ")));
    number("ignore_eos", sampling.ignore_eos);
    number("logprobs", sampling.logprobs);
    number("n", sampling.n);
}

std::filesystem::path run_record_path(const std::filesystem::path& output) {
    return output.string() + ".run.json";
}

void write_run_record(const std::filesystem::path& output, const RunRecord& record) {
    replace_file(run_record_path(output), [&](const WritePiece& write) { write(to_text(record)); });
}

RunRecord read_run_record(const std::filesystem::path& output) {
    const std::filesystem::path path = run_record_path(output);
    const std::string text = read_file(path, ExitCode::File);
    require(parse_json(text, path.string(), ExitCode::File).is_object(), ExitCode::File,
            "{}: expected a JSON object", path.string());
    const auto object = nlohmann::ordered_json::parse(text);
    RunRecord record;
    for (const auto& item : object.items()) record.add_json(item.key(), item.value().dump());
    return record;
}

void add_end_mark(RunRecord& record, std::int64_t lines) {
    remove(record, kEndMark);
    record.add_json(std::string(kEndMark), fmt::format("{{\"lines\": {}}}", lines));
}

void mark_finished(const std::filesystem::path& output, std::int64_t lines) {
    RunRecord record = read_run_record(output);
    add_end_mark(record, lines);
    write_run_record(output, record);
}

void mark_unfinished(const std::filesystem::path& output) {
    RunRecord record = read_run_record(output);
    remove(record, kEndMark);
    write_run_record(output, record);
}

std::optional<std::int64_t> finished_lines(const RunRecord& record) {
    const std::string* mark = record.find(kEndMark);
    if (mark == nullptr) return std::nullopt;
    const Json value = Json::parse(*mark);
    if (!value.is_object() || !value.contains("lines") || !value["lines"].is_number_integer())
        return std::nullopt;
    return value["lines"].get<std::int64_t>();
}

std::vector<Difference> differences(const RunRecord& first, const RunRecord& second) {
    std::vector<Difference> found;
    const auto compare = [&](const std::string& name) {
        const std::string* one = first.find(name);
        const std::string* other = second.find(name);
        if (name != kEndMark && !same(one, other)) found.push_back({name, shown(one), shown(other)});
    };
    for (const auto& [name, value] : second.values) compare(name);
    for (const auto& [name, value] : first.values) {
        if (second.find(name) == nullptr) compare(name);
    }
    return found;
}

void require_same_run(const std::filesystem::path& output, const RunRecord& record) {
    const std::filesystem::path path = run_record_path(output);
    require(std::filesystem::exists(path), ExitCode::Usage,
            "cannot resume {}: {} is missing, so what the output was made with is unknown. Give another "
            "--output, or "
            "--overwrite to start again",
            output.string(), path.string());
    std::vector<std::string> lines;
    for (const Difference& difference : differences(read_run_record(output), record))
        lines.push_back(
            fmt::format("  {}: recorded {}, now {}", difference.name, difference.first, difference.second));
    require(lines.empty(), ExitCode::Usage,
            "cannot resume {}: it was made with other settings (recorded in {}):\n{}\nRun with the recorded "
            "settings, "
            "give another --output, or --overwrite to start again",
            output.string(), path.string(), fmt::join(lines, "\n"));
}

}  // namespace sluice
