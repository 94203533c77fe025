#include "text/partial_answers.hpp"

#include "core/json.hpp"
#include "core/log.hpp"
#include "text/answered.hpp"
#include "text/durable_file.hpp"
#include "text/line_reader.hpp"
#include "text/posix_file.hpp"

#include <fmt/ranges.h>
#include <xxhash.h>

#include <bit>
#include <exception>
#include <memory>
#include <utility>

namespace sluice {
namespace {

constexpr int kVersion = 1;

// ---- checksum: xxh3 of all lines but the first, each with a newline ----

class Checksum {
public:
    Checksum() : state_(XXH3_createState(), XXH3_freeState) { XXH3_64bits_reset(state_.get()); }
    void add_line(std::string_view line) {
        XXH3_64bits_update(state_.get(), line.data(), line.size());
        XXH3_64bits_update(state_.get(), "\n", 1);
    }
    std::uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

private:
    std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_;
};

// ---- writing ----

// Log-probabilities go by their bits: a resumed completion shows the very numbers.
std::string to_json(const TokenLogprob& token) {
    return fmt::format("{},{}", token.token, std::bit_cast<std::uint32_t>(token.logprob));
}

std::string to_json(const PositionLogprobs& position) {
    std::string json = "[" + to_json(position.chosen);
    for (const TokenLogprob& token : position.top) json += "," + to_json(token);
    return json + "]";
}

std::string to_line(const PartialAnswer& answer) {
    std::string line = fmt::format(R"({{"fingerprint":{},"tokens":[{}],"logprobs":[)", answer.fingerprint,
                                   fmt::join(answer.tokens, ","));
    for (const PositionLogprobs& position : answer.logprobs) {
        if (line.back() != '[') line += ',';
        line += to_json(position);
    }
    return line + "]}";
}

std::string header_of(std::size_t answers, std::uint64_t checksum) {
    return fmt::format(R"({{"partial_answers":{},"answers":{},"xxh3":{}}})", kVersion, answers, checksum);
}

// ---- reading: an Error or a Json::exception says how the file is damaged ----

struct Header {
    std::uint64_t answers = 0;
    std::uint64_t checksum = 0;
};

template <class Integer>
Integer integer_of(const Json& value) {
    const bool fits = value.is_number_unsigned()
                          ? std::in_range<Integer>(value.get<std::uint64_t>())
                          : value.is_number_integer() && std::in_range<Integer>(value.get<std::int64_t>());
    require(fits, ExitCode::File, "a number is expected");
    return value.get<Integer>();
}

TokenLogprob logprob_at(const Json& list, std::size_t at) {
    return {integer_of<Token>(list.at(at)), std::bit_cast<float>(integer_of<std::uint32_t>(list.at(at + 1)))};
}

PositionLogprobs position_of(const Json& list) {
    require(list.is_array(), ExitCode::File, "a list is expected");
    PositionLogprobs position{logprob_at(list, 0), {}};
    for (std::size_t at = 2; at < list.size(); at += 2) position.top.push_back(logprob_at(list, at));
    return position;
}

Header header_of(std::string_view line) {
    const Json json = parse_json(line, "the first line", ExitCode::File);
    require(integer_of<int>(json.at("partial_answers")) == kVersion, ExitCode::File,
            "another version's format");
    return {integer_of<std::uint64_t>(json.at("answers")), integer_of<std::uint64_t>(json.at("xxh3"))};
}

PartialAnswer answer_of(std::string_view line) {
    const Json json = parse_json(line, "an answer", ExitCode::File);
    PartialAnswer answer;
    answer.fingerprint = integer_of<std::uint64_t>(json.at("fingerprint"));
    for (const Json& token : json.at("tokens")) answer.tokens.push_back(integer_of<Token>(token));
    for (const Json& position : json.at("logprobs")) answer.logprobs.push_back(position_of(position));
    require(answer.logprobs.empty() || answer.logprobs.size() == answer.tokens.size(), ExitCode::File,
            "tokens without their log-probabilities");
    return answer;
}

std::map<std::uint64_t, PartialAnswer> read_answers(LineReader& reader) {
    const auto first = reader.next();
    require(first && first->whole && !first->too_long, ExitCode::File, "no first line");
    const Header header = header_of(first->text);
    std::map<std::uint64_t, PartialAnswer> answers;
    Checksum checksum;
    while (const auto line = reader.next()) {
        require(line->whole && !line->too_long, ExitCode::File, "a torn line");
        checksum.add_line(line->text);
        PartialAnswer answer = answer_of(line->text);
        answers.insert_or_assign(answer.fingerprint, std::move(answer));
    }
    require(answers.size() == header.answers && checksum.value() == header.checksum, ExitCode::File,
            "not what was written");
    return answers;
}

}  // namespace

std::filesystem::path partial_path(const std::filesystem::path& output) {
    return output.string() + ".partial";
}

PartialAnswers PartialAnswers::load(const std::filesystem::path& output) {
    const std::filesystem::path path = partial_path(output);
    PartialAnswers loaded;
    std::error_code unknown;
    if (!std::filesystem::exists(path, unknown)) return loaded;
    const PosixFile file = open_to_read(path);
    LineReader reader(file.fd(), path.string(), kMostAnswerBytes);
    const auto damaged = [&](const std::exception& problem) {
        log_warning("{} is damaged ({}): the completions in it begin anew", path.string(), problem.what());
    };
    try {
        loaded.answers_ = read_answers(reader);
    } catch (const Error& problem) {
        damaged(problem);
    } catch (const Json::exception& problem) {
        damaged(problem);
    }
    return loaded;
}

const PartialAnswer* PartialAnswers::find(std::uint64_t fingerprint) const {
    const auto found = answers_.find(fingerprint);
    return found == answers_.end() ? nullptr : &found->second;
}

void PartialAnswers::keep(PartialAnswer answer) {
    if (answer.tokens.empty()) return;
    PartialAnswer& kept = answers_[answer.fingerprint];
    if (kept.tokens.size() < answer.tokens.size()) kept = std::move(answer);
}

void PartialAnswers::save(const std::filesystem::path& output) const {
    if (answers_.empty()) return remove_file(partial_path(output));
    // Each line is made twice, which is quick, rather than all of them kept.
    Checksum checksum;
    for (const auto& [fingerprint, answer] : answers_) checksum.add_line(to_line(answer));
    replace_file(partial_path(output), [&](const WritePiece& write) {
        write(header_of(answers_.size(), checksum.value()) + '\n');
        for (const auto& [fingerprint, answer] : answers_) write(to_line(answer) + '\n');
    });
}

}  // namespace sluice
