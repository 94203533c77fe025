#include "text/run_record.hpp"

#include "core/json.hpp"
#include "text/posix_file.hpp"
#include "text/request_json.hpp"
#include "text/utf8.hpp"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace sluice {
namespace {

constexpr std::size_t kShownBytes = 200;

std::string to_text(const RunRecord& record) {
    std::string text = "{";
    for (const auto& [name, value] : record.values)
        text += fmt::format("{}\n  {}: {}", text.size() > 1 ? "," : "", to_json_string(name), value);
    return text + "\n}\n";
}

// A new name in a folder is on the disk only when the folder is.
int sync_folder(const std::filesystem::path& path) {
    const PosixFile folder =
        open_file(path.has_parent_path() ? path.parent_path() : ".", O_RDONLY | O_DIRECTORY);
    if (!folder.is_open()) return errno;
    // Some network file systems cannot sync a folder, and need not.
    return ::fsync(folder.fd()) == 0 || errno == EINVAL ? 0 : errno;
}

int write_whole(const std::filesystem::path& path, const std::filesystem::path& temporary,
                std::string_view text) {
    PosixFile file = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file.is_open()) return errno;
    if (const int problem = write_all(file.fd(), text)) return problem;
    if (::fsync(file.fd()) != 0) return errno;
    if (const int problem = file.close()) return problem;
    if (std::rename(temporary.c_str(), path.c_str()) != 0) return errno;
    return sync_folder(path);
}

std::string shown(const Json& object, const std::string& name) {
    const auto found = object.find(name);
    return found == object.end() ? "nothing" : clip_utf8(found->dump(), kShownBytes);
}

std::vector<std::string> differences(const Json& recorded, const Json& current) {
    std::vector<std::string> lines;
    const auto compare = [&](const std::string& name) {
        lines.push_back(
            fmt::format("  {}: recorded {}, now {}", name, shown(recorded, name), shown(current, name)));
    };
    for (const auto& item : current.items()) {
        if (!recorded.contains(item.key()) || recorded[item.key()] != item.value()) compare(item.key());
    }
    for (const auto& item : recorded.items()) {
        if (!current.contains(item.key())) compare(item.key());
    }
    return lines;
}

}  // namespace

void RunRecord::add_text(std::string name, std::string_view text) {
    add_json(std::move(name), to_json_string(text));
}

void RunRecord::add_json(std::string name, std::string json) {
    values.emplace_back(std::move(name), std::move(json));
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
}

std::filesystem::path run_record_path(const std::filesystem::path& output) {
    return output.string() + ".run.json";
}

void write_run_record(const std::filesystem::path& output, const RunRecord& record) {
    const std::filesystem::path path = run_record_path(output);
    const std::filesystem::path temporary = path.string() + ".tmp";
    if (const int problem = write_whole(path, temporary, to_text(record))) {
        ::unlink(temporary.c_str());
        fail(ExitCode::File, "cannot write {}: {}", path.string(), std::strerror(problem));
    }
}

void require_same_run(const std::filesystem::path& output, const RunRecord& record) {
    const std::filesystem::path path = run_record_path(output);
    require(std::filesystem::exists(path), ExitCode::Usage,
            "cannot resume {}: {} is missing, so what the output was made with is unknown. Give another "
            "--output, or "
            "--overwrite to start again",
            output.string(), path.string());
    const Json recorded = parse_json(read_file(path, ExitCode::File), path.string(), ExitCode::File);
    require(recorded.is_object(), ExitCode::File, "{}: expected a JSON object", path.string());
    const Json current = parse_json(to_text(record), "the record of this run", ExitCode::Internal);
    const std::vector<std::string> lines = differences(recorded, current);
    require(lines.empty(), ExitCode::Usage,
            "cannot resume {}: it was made with other settings (recorded in {}):\n{}\nRun with the recorded "
            "settings, "
            "give another --output, or --overwrite to start again",
            output.string(), path.string(), fmt::join(lines, "\n"));
}

}  // namespace sluice
