#include "engine/scorer.hpp"

#include "core/error.hpp"

#include <fmt/ranges.h>

#include <string>
#include <utility>
#include <vector>

namespace sluice {

// A text on its way. The row of a token gives the log-probability of the next one, so the last token has
// none.
struct Scorer::Active {
    Request request;
    Score score;
    std::vector<std::string> top;  // of every token, as JSON; where asked for
};

Scorer::Scorer(const LoopParts& parts, int longest, Sink sink)
    : RequestLoop(parts), longest_(longest), sink_(std::move(sink)) {}

Scorer::~Scorer() = default;

// The text's tokens, and which of them are scored: those of the completion, or all but the first.
std::variant<std::unique_ptr<Scorer::Active>, RequestError> Scorer::encode(const Request& request) const {
    auto encoded = parts().encoder.encode(request);
    if (auto* problem = std::get_if<RequestError>(&encoded)) return std::move(*problem);
    auto active = std::make_unique<Active>();
    Score& score = active->score;
    score.tokens = std::move(std::get<std::vector<Token>>(encoded));
    score.first = 1;
    if (request.completion) {
        score.first = score.tokens.size();
        try {
            const std::vector<Token> more = parts().tokenizer.encode(*request.completion);
            score.tokens.insert(score.tokens.end(), more.begin(), more.end());
        } catch (const Error& problem) {
            return RequestError{"not_tokenized", problem.what()};
        }
        if (score.tokens.size() == score.first)
            return RequestError{"empty_completion", "the completion has no tokens"};
    }
    if (score.tokens.size() > static_cast<std::size_t>(longest_)) {
        return RequestError{"too_long", fmt::format("the text has {} tokens; it may have {} (--max-seq-len)",
                                                    score.tokens.size(), longest_)};
    }
    score.id_json = request.id_json;
    score.meta_json = request.meta_json;
    score.ordinal = request.ordinal;
    if (request.sampling.logprobs > 0) active->top.assign(score.first, "null");
    return active;
}

void Scorer::admit(Request request) {
    auto encoded = encode(request);
    if (auto* problem = std::get_if<RequestError>(&encoded)) {
        give(score_error(request, std::move(*problem)));
        return;
    }
    auto& active = std::get<std::unique_ptr<Active>>(encoded);
    active->request = std::move(request);
    const Score& score = active->score;
    if (score.tokens.size() == score.first) return finish(*active);  // a single token: nothing to run
    std::vector<Token> given(score.tokens.begin(), score.tokens.end() - 1);
    const Ticket ticket =
        parts().scheduler.admit_text(std::move(given), static_cast<std::int64_t>(score.first) - 1);
    active_.emplace(ticket, std::move(active));
}

void Scorer::answer(const FailedRequest& failed) { give(score_error(failed)); }

SampleRow Scorer::wishes_of(Ticket ticket, std::int64_t position) const {
    const Active& active = *active_.at(ticket);
    SampleRow wishes;
    wishes.logprobs = active.request.sampling.logprobs;
    wishes.target = active.score.tokens[static_cast<std::size_t>(position) + 1];
    return wishes;
}

void Scorer::take(Ticket ticket, std::int64_t position, Pick pick) {
    const auto found = active_.find(ticket);
    if (found == active_.end()) return;  // failed at an earlier position of this step
    Active& active = *found->second;
    Score& score = active.score;
    const auto token = static_cast<std::size_t>(position) + 1;
    expect(token == score.first + score.logprobs.size(), "token {} of a text is scored after {} others",
           token, score.logprobs.size());
    if (!pick.valid) {
        give(
            score_error(active.request,
                        {"nan_logits", fmt::format("the model's logits at token {} are not finite", token)}));
    } else {
        score.logprobs.push_back(pick.logprob);
        if (active.request.sampling.logprobs > 0) active.top.push_back(to_json(parts().tokenizer, pick.top));
        if (token + 1 < score.tokens.size()) return;
        finished_.push_back(std::move(found->second));
    }
    parts().scheduler.finish(ticket);
    active_.erase(found);
}

void Scorer::give_finished() {
    for (const auto& active : std::exchange(finished_, {})) finish(*active);
}

void Scorer::finish(Active& active) {
    if (active.request.sampling.logprobs > 0)
        active.score.top_logprobs_json = fmt::format("[{}]", fmt::join(active.top, ","));
    give(active.score);
}

void Scorer::give(const Score& score) {
    sink_(score);
    count(true, score.error.has_value(), static_cast<std::int64_t>(score.tokens.size()), 0, score.totals());
}

}  // namespace sluice
