#include "text/answered.hpp"

#include "core/json.hpp"

#include <limits>

namespace sluice {
namespace {

bool has_string(const Json& object, const char* key) {
    return object.contains(key) && object[key].is_string();
}

bool is_error(const Json& error) {
    return error.is_object() && has_string(error, "code") && has_string(error, "message");
}

bool is_score(const Json& line) {
    if (!line.contains("sum_logprob") || !line.contains("token_count")) return false;
    const Json& sum = line["sum_logprob"];
    const Json& count = line["token_count"];  // of a sequence: far too few for the total to overflow
    return (sum.is_number() || sum.is_null()) && count.is_number_unsigned() &&
           count.get<std::uint64_t>() <= std::uint64_t{1} << 31;
}

bool is_index(const Json& value) {
    return value.is_number_unsigned() &&
           value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<int>::max());
}

std::optional<Answered> parse_own(const Json& line) {
    if (!line.contains("id") || !has_string(line, "finish_reason")) return std::nullopt;
    if (!has_string(line, "completion") && !is_score(line)) return std::nullopt;
    Answered answered;
    answered.id_json = line["id"].dump();
    if (line.contains("index")) {
        if (!is_index(line["index"])) return std::nullopt;
        answered.index = line["index"].get<int>();
    }
    if (line.contains("error")) {
        if (!is_error(line["error"])) return std::nullopt;
        answered.error = RequestError{line["error"]["code"], line["error"]["message"]};
    }
    if (is_score(line) && line["sum_logprob"].is_number())
        answered.scores = {line["token_count"].get<std::int64_t>(), line["sum_logprob"].get<double>()};
    return answered;
}

std::optional<Answered> parse_response(const Json& line) {
    const auto response = line.find("response");
    if (response == line.end() || !response->is_object()) return std::nullopt;
    const auto status = response->find("status_code");
    const auto body = response->find("body");
    if (status == response->end() || !status->is_number_unsigned()) return std::nullopt;
    if (body == response->end() || !body->is_object()) return std::nullopt;
    Answered answered;
    answered.id_json = line["custom_id"].dump();
    if (*status != 200) {
        if (!body->contains("error") || !is_error((*body)["error"])) return std::nullopt;
        answered.error = RequestError{(*body)["error"]["code"], (*body)["error"]["message"]};
    }
    return answered;
}

}  // namespace

std::string key_of(const std::string& id_json, int index) {
    return id_json + '\t' + std::to_string(index);  // no JSON text of an id holds a tab or a line end
}

std::string key_of(const std::string& id_json, const RequestError& error) {
    return error.code == "duplicate_id" ? id_json + '\n' + error.message : id_json;
}

std::string Answered::key() const {
    if (index) return key_of(id_json, *index);
    return error ? key_of(id_json, *error) : id_json;
}

std::optional<Answered> parse_answered(std::string_view text) {
    const Json line = parse_json(text, "line", ExitCode::File);
    if (!line.is_object()) return std::nullopt;
    return line.contains("custom_id") ? parse_response(line) : parse_own(line);
}

}  // namespace sluice
