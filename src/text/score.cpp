#include "text/score.hpp"

#include "text/request_json.hpp"
#include "text/token_logprobs.hpp"

#include <fmt/ranges.h>

#include <iterator>
#include <utility>

namespace sluice {

ScoreTotals Score::totals() const {
    ScoreTotals sums;
    for (const float logprob : logprobs) sums += {1, logprob};
    return sums;
}

Score score_error(const FailedRequest& failed) {
    Score score;
    score.id_json = failed.id_json;
    score.error = failed.error;
    score.meta_json = failed.meta_json;
    score.ordinal = failed.ordinal;
    return score;
}

Score score_error(const Request& request, RequestError error) {
    return score_error(failed_request(request, std::move(error)));
}

std::string to_json_line(const Score& score) {
    std::vector<std::string> logprobs(score.first, "null");
    for (const float logprob : score.logprobs) logprobs.push_back(to_json_number(logprob));
    const ScoreTotals totals = score.totals();
    std::string line;
    const auto out = std::back_inserter(line);
    fmt::format_to(out, R"({{"id":{},"tokens":[{}],"logprobs":[{}],"sum_logprob":{})", score.id_json,
                   fmt::join(score.tokens, ","), fmt::join(logprobs, ","),
                   score.error ? "null" : to_json_number(totals.logprob));
    fmt::format_to(out, R"(,"perplexity":{},"token_count":{})", to_json_number(totals.perplexity()),
                   totals.tokens);
    if (!score.top_logprobs_json.empty())
        fmt::format_to(out, R"(,"top_logprobs":{})", score.top_logprobs_json);
    fmt::format_to(out, R"(,"finish_reason":"{}")", score.error ? "error" : "stop");
    if (score.error) fmt::format_to(out, R"(,"error":{})", to_json(*score.error));
    if (!score.meta_json.empty()) fmt::format_to(out, R"(,"meta":{})", score.meta_json);
    return line + "}";
}

}  // namespace sluice
