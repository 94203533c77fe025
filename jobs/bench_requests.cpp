#include "jobs/bench_requests.hpp"

#include "core/error.hpp"
#include "kernels/random.hpp"
#include "text/prompt_file.hpp"

#include <cmath>
#include <utility>
#include <variant>

namespace sluice {
namespace {

// From `least` to `most`, as many of each power of two.
int drawn_length(int least, int most, std::uint64_t key, std::uint64_t stream) {
    return static_cast<int>(
        std::lround(least * std::pow(static_cast<double>(most) / least, kernels::uniform(key, stream))));
}

BenchRequest request_of(const ParsedLine& line) {
    if (const auto* failed = std::get_if<FailedRequest>(&line))
        fail(ExitCode::File, "{}: {}", failed->where, failed->error.message);
    const auto& request = std::get<Request>(line);
    const auto* tokens = std::get_if<std::vector<Token>>(&request.input);
    require(tokens != nullptr && !tokens->empty(), ExitCode::File,
            "{}: no \"tokens\": a line of --job is {{\"tokens\": [...], \"max_new_tokens\": N}}",
            request.where);
    return {*tokens, static_cast<int>(tokens->size()), request.sampling.max_new_tokens};
}

}  // namespace

std::vector<BenchRequest> bench_requests(const BenchOptions& options) {
    std::vector<BenchRequest> requests;
    if (!options.job.empty()) {
        PromptOptions lines;
        lines.format = PromptFormat::Jsonl;
        const auto source = open_prompts({options.job}, lines);
        while (const auto line = source->next()) requests.push_back(request_of(*line));
        require(!requests.empty(), ExitCode::File, "{} asks for nothing", options.job.string());
        return requests;
    }
    for (int i = 0; i < options.job_requests; ++i) {
        const std::uint64_t key = kernels::draw_key(options.seed, static_cast<std::uint64_t>(i));
        requests.push_back({{}, drawn_length(16, 512, key, 0), drawn_length(16, 128, key, 1)});
    }
    return requests;
}

std::vector<Request> listed(const std::vector<BenchRequest>& requests, int prefix, RandomTokens& tokens) {
    std::vector<Token> common;
    for (int i = 0; i < prefix; ++i) common.push_back(tokens.next());
    std::vector<Request> all;
    for (const BenchRequest& each : requests) {
        std::vector<Token> prompt = common;
        prompt.insert(prompt.end(), each.prompt.begin(), each.prompt.end());
        while (static_cast<int>(prompt.size()) < prefix + each.prompt_tokens) prompt.push_back(tokens.next());
        Request& request = all.emplace_back();
        request.ordinal = static_cast<std::int64_t>(all.size()) - 1;
        request.id = request.id_json = request.where = std::to_string(request.ordinal);
        request.input = std::move(prompt);
        request.sampling.max_new_tokens = each.new_tokens;
        request.sampling.temperature = 0;
        request.sampling.ignore_eos = true;
    }
    return all;
}

std::optional<ParsedLine> ListedRequests::next() {
    if (next_ == requests_.size()) return std::nullopt;
    return std::move(requests_[next_++]);
}

}  // namespace sluice
