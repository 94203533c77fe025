#include "text/resume.hpp"

#include "core/json.hpp"
#include "text/line_reader.hpp"
#include "text/posix_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

// A completion carries its request's meta (up to a prompt line's 64 MiB) beside its own text.
constexpr std::size_t kMaxLineBytes = std::size_t{1} << 30;

std::string key_of(const std::string& id_json, const RequestError* error) {
    const bool repeat = error != nullptr && error->code == "duplicate_id";
    return repeat ? id_json + '\n' + error->message : id_json;  // no JSON text of an id holds a line end
}

std::optional<Json> parse_object(std::string_view text) {
    try {
        return parse_json(text, "line", ExitCode::File);
    } catch (const Error&) {
        return std::nullopt;
    }
}

bool has_string(const Json& object, const char* key) {
    return object.contains(key) && object[key].is_string();
}

bool is_score(const Json& line) {
    if (!line.contains("sum_logprob") || !line.contains("token_count")) return false;
    const Json& sum = line["sum_logprob"];
    const Json& count = line["token_count"];  // of a sequence: far too few for the total to overflow
    return (sum.is_number() || sum.is_null()) && count.is_number_unsigned() &&
           count.get<std::uint64_t>() <= std::uint64_t{1} << 31;
}

bool is_completion(const Json& line) {
    if (!line.is_object() || !line.contains("id")) return false;
    if (!has_string(line, "completion") && !is_score(line)) return false;
    if (!has_string(line, "finish_reason")) return false;
    return !line.contains("error") || (line["error"].is_object() && has_string(line["error"], "code") &&
                                       has_string(line["error"], "message"));
}

void add(Finished& finished, const Json& line) {
    std::optional<RequestError> error;
    if (line.contains("error")) error = RequestError{line["error"]["code"], line["error"]["message"]};
    finished.add(line["id"].dump(), error ? &*error : nullptr);
    if (is_score(line) && line["sum_logprob"].is_number())
        finished.add(ScoreTotals{line["token_count"].get<std::int64_t>(), line["sum_logprob"].get<double>()});
}

void cut(const std::filesystem::path& path, std::int64_t size) {
    require(::truncate(path.c_str(), size) == 0, ExitCode::File, "cannot cut the torn last line off {}: {}",
            path.string(), std::strerror(errno));
}

class Unfinished final : public PromptSource {
public:
    Unfinished(std::unique_ptr<PromptSource> lines, Finished finished)
        : lines_(std::move(lines)), finished_(std::move(finished)) {}

    std::optional<ParsedLine> next() override {
        auto line = lines_->next();
        while (line && finished_.has(*line)) line = lines_->next();
        return line;
    }

    bool ready(int milliseconds) override { return lines_->ready(milliseconds); }

private:
    std::unique_ptr<PromptSource> lines_;
    Finished finished_;
};

}  // namespace

void Finished::add(const std::string& id_json, const RequestError* error) {
    answers_.insert(key_of(id_json, error));
    ++lines_;
    if (error != nullptr) ++errors_;
}

bool Finished::has(const ParsedLine& line) const {
    const auto* failed = std::get_if<FailedRequest>(&line);
    if (failed != nullptr) return answers_.contains(key_of(failed->id_json, &failed->error));
    return answers_.contains(std::get<Request>(line).id_json);
}

Finished scan_completions(const std::filesystem::path& path) {
    const PosixFile file = open_to_read(path);
    LineReader reader(file.fd(), path.string(), kMaxLineBytes);
    Finished finished;
    while (const auto line = reader.next()) {
        const std::optional<Json> object =
            line->whole && !line->too_long ? parse_object(line->text) : std::nullopt;
        if (!object && !reader.next()) {
            cut(path, line->begin);
            break;
        }
        require(object && is_completion(*object), ExitCode::File,
                "{}:{}: not a completion or a score: the file was changed, or something else wrote it. "
                "Repair or remove the "
                "line, or start again with --overwrite",
                path.string(), line->number);
        add(finished, *object);
    }
    return finished;
}

std::unique_ptr<PromptSource> skip_finished(std::unique_ptr<PromptSource> lines, Finished finished) {
    return std::make_unique<Unfinished>(std::move(lines), std::move(finished));
}

}  // namespace sluice
