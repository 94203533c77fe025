#include "engine/generator.hpp"

#include "core/error.hpp"
#include "kernels/random.hpp"
#include "text/detokenizer.hpp"
#include "text/stop_strings.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kKeptAnswers = std::size_t{64} << 20;  // bytes, for equal requests to come
// Requests that share an answer on its way: their number, and their bytes.
constexpr std::int64_t kMostAttached = 8192;
constexpr std::size_t kMostBytesAttached = std::size_t{64} << 20;

std::vector<Token> distinct(std::vector<Token> tokens) {
    std::ranges::sort(tokens);
    tokens.erase(std::ranges::unique(tokens).begin(), tokens.end());
    return tokens;
}

Answer error_answer(Completion record, std::uint64_t fingerprint = 0) {
    return {std::move(record), {}, {}, fingerprint};
}

}  // namespace

// A request on its way.
struct Generator::Active {
    Active(Request asked, Sampling chosen, CompletionKey decides, std::int64_t prompt,
           const Tokenizer& tokenizer)
        : request(std::move(asked)),
          sampling(std::move(chosen)),
          key(std::move(decides)),
          prompt_tokens(prompt),
          text(tokenizer, true),
          stop(sampling.stop) {}

    Request request;    // without its input, whose tokens are known
    Sampling sampling;  // deciding_sampling() of the request's
    CompletionKey key;
    std::int64_t prompt_tokens;
    Detokenizer text;
    StopMatcher stop;
    std::size_t shown = 0;  // bytes of the text
    std::vector<Token> tokens;
    std::size_t read = 0;                    // tokens that are in the text
    std::vector<PositionLogprobs> logprobs;  // of each token, where they are kept
    std::vector<Token> seen;                 // distinct, ascending; kept with a repetition penalty only
};

struct Generator::Finished {
    std::unique_ptr<Active> active;
    FinishReason reason;
};

Generator::Generator(const LoopParts& parts, GeneratorOptions options, Sink sink)
    : RequestLoop(parts), options_(std::move(options)), sink_(std::move(sink)), equals_(kKeptAnswers) {}

Generator::~Generator() = default;

bool Generator::wants_more() const {
    return RequestLoop::wants_more() && equals_.attached() < kMostAttached &&
           equals_.bytes_attached() < kMostBytesAttached;
}

void Generator::admit(Request request) {
    const Encoded& encoded = last_encoding_.of(parts().encoder, request);
    if (const auto* problem = std::get_if<RequestError>(&encoded))
        return give(error_answer(error_record(request, *problem)));
    const auto& tokens = std::get<std::vector<Token>>(encoded);
    const auto prompt = static_cast<std::int64_t>(tokens.size());
    Sampling sampling = deciding_sampling(request.sampling, request.index, options_.longest - prompt);
    CompletionKey key = completion_key(tokens, sampling, shape_of(request.api, options_.format));
    if (!options_.on_text) {
        if (const Answer* same = equals_.find(key)) return give(answer_to(request, *same), true);
        if (equals_.attach(key, std::move(request))) return;
    }
    auto active = std::make_unique<Active>(std::move(request), std::move(sampling), std::move(key), prompt,
                                           parts().tokenizer);
    if (active->sampling.repetition_penalty != 1) active->seen = distinct(tokens);
    begin(std::move(active), tokens);
}

// Goes on where an earlier run was stopped.
void Generator::begin(std::unique_ptr<Active> active, std::vector<Token> tokens) {
    if (const auto reason = replay(*active)) {
        settle(*active, completed(*active, *reason));
        return;
    }
    tokens.insert(tokens.end(), active->tokens.begin(), active->tokens.end());
    const auto growth = active->sampling.max_new_tokens - static_cast<std::int64_t>(active->tokens.size());
    active_.emplace(parts().scheduler.admit(std::move(tokens), growth), std::move(active));
}

std::optional<FinishReason> Generator::replay(Active& active) const {
    if (!options_.earlier) return std::nullopt;
    std::optional<PartialAnswer> earlier = options_.earlier(active.request, active.key.fingerprint);
    if (!earlier || !may_begin_with(active, *earlier)) return std::nullopt;
    for (std::size_t i = 0; i < earlier->tokens.size(); ++i) {
        Pick pick{earlier->tokens[i], std::numeric_limits<float>::quiet_NaN(), true, {}};
        if (!earlier->logprobs.empty()) {
            pick.logprob = earlier->logprobs[i].chosen.logprob;
            pick.top = std::move(earlier->logprobs[i].top);
        }
        if (const auto reason = add(active, std::move(pick))) return reason;
    }
    return std::nullopt;
}

bool Generator::may_begin_with(const Active& active, const PartialAnswer& earlier) const {
    const Sampling& sampling = active.sampling;
    const std::vector<PositionLogprobs>& logprobs = earlier.logprobs;
    const auto fits = [&](Token token) {
        return token >= 0 && token < parts().encoder.vocabulary() && !ends_completion(sampling, token);
    };
    return earlier.tokens.size() <= static_cast<std::size_t>(sampling.max_new_tokens) &&
           std::ranges::all_of(earlier.tokens, fits) &&
           ((sampling.logprobs == 0 && logprobs.empty()) ||
            std::ranges::equal(logprobs, earlier.tokens, {}, [](const auto& at) { return at.chosen.token; }));
}

void Generator::answer(const FailedRequest& failed) { give(error_answer(error_record(failed))); }

// The random numbers are those of the position that the token will take.
SampleRow Generator::wishes_of(Ticket ticket, std::int64_t position) const {
    const Active& active = *active_.at(ticket);
    const Sampling& sampling = active.sampling;
    SampleRow wishes;
    wishes.choice = {
        sampling.temperature, sampling.top_p,
        sampling.min_p,       sampling.repetition_penalty,
        sampling.top_k,       kernels::draw_key(sampling.seed, static_cast<std::uint64_t>(position) + 1)};
    wishes.seen = active.seen;
    wishes.logprobs = sampling.logprobs;
    return wishes;
}

bool Generator::ends_completion(const Sampling& sampling, Token token) const {
    if (sampling.ignore_eos) return false;
    return std::ranges::binary_search(parts().tokenizer.special().eos, token) ||
           std::ranges::find(options_.end_of_turn, token) != options_.end_of_turn.end();
}

void Generator::take(Ticket ticket, std::int64_t, Pick pick) {
    Active& active = *active_.at(ticket);
    if (!pick.valid) {
        finish(ticket, FinishReason::Error);
    } else if (ends_completion(active.sampling, pick.token)) {
        finish(ticket, FinishReason::Stop);
    } else if (const Token token = pick.token; const auto reason = add(active, std::move(pick))) {
        finish(ticket, *reason);
    } else {
        if (options_.on_text) show(active, active.stop.settled());
        parts().scheduler.append(ticket, token);
    }
}

// One more token of the completion; a reason when it is the last.
std::optional<FinishReason> Generator::add(Active& active, Pick pick) const {
    active.tokens.push_back(pick.token);
    if (active.sampling.logprobs > 0 || options_.keep_logprobs)
        active.logprobs.push_back({{pick.token, pick.logprob}, std::move(pick.top)});
    if (active.sampling.repetition_penalty != 1) {
        const auto place = std::ranges::lower_bound(active.seen, pick.token);
        if (place == active.seen.end() || *place != pick.token) active.seen.insert(place, pick.token);
    }
    const bool text_matters = options_.on_text || !active.sampling.stop.empty();
    if (text_matters && read_text(active)) return FinishReason::Stop;
    if (active.tokens.size() >= static_cast<std::size_t>(active.sampling.max_new_tokens))
        return FinishReason::Length;
    return std::nullopt;
}

// The text of all tokens so far; whether a stop string is in it. The next step waits for this only where
// someone looks at a text that is not whole.
bool Generator::read_text(Active& active) const {
    for (; active.read < active.tokens.size(); ++active.read)
        active.stop.push(active.text.push(active.tokens[active.read]));
    return active.stop.stopped();
}

void Generator::show(Active& active, std::size_t end) const {
    if (end == active.shown) return;
    options_.on_text(active.request.id,
                     std::string_view(active.stop.text()).substr(active.shown, end - active.shown));
    active.shown = end;
}

Answer Generator::completed(Active& active, FinishReason reason) const {
    read_text(active);
    active.stop.push(active.text.finish());
    if (options_.on_text) show(active, active.stop.text().size());
    Answer done;
    done.completion.text = active.stop.text();
    done.completion.finish_reason = reason;
    done.completion.prompt_tokens = active.prompt_tokens;
    done.completion.completion_tokens = static_cast<std::int64_t>(active.tokens.size());
    if (options_.return_tokens) done.completion.tokens = active.tokens;
    if (active.sampling.logprobs > 0)
        done.completion.logprobs_json =
            logprobs_json(parts().tokenizer, active.logprobs, shape_of(active.request.api, options_.format));
    done.tokens = std::move(active.tokens);
    done.logprobs = std::move(active.logprobs);
    done.fingerprint = active.key.fingerprint;
    return answer_to(active.request, std::move(done));
}

void Generator::finish(Ticket ticket, FinishReason reason) {
    finished_.push_back({std::move(active_.extract(ticket).mapped()), reason});
    parts().scheduler.finish(ticket);
}

Answer Generator::not_finite(const Active& active) {
    RequestError error{"nan_logits",
                       fmt::format("the model's logits at token {} are not finite", active.tokens.size())};
    return error_answer(error_record(active.request, std::move(error)), active.key.fingerprint);
}

void Generator::give_finished() {
    for (const auto& [active, reason] : std::exchange(finished_, {}))
        settle(*active, reason == FinishReason::Error ? not_finite(*active) : completed(*active, reason));
}

void Generator::finish_early() {
    while (!active_.empty()) {
        const Ticket ticket = active_.begin()->first;
        const auto active = std::move(active_.extract(ticket).mapped());
        parts().scheduler.finish(ticket);
        give_to_equals(*active, completed(*active, FinishReason::Stop));
    }
}

// An answer that is whole.
void Generator::settle(const Active& active, const Answer& answer) {
    give_to_equals(active, answer);
    if (!options_.on_text) equals_.keep(active.key, answer);
}

void Generator::give_to_equals(const Active& active, const Answer& answer) {
    give(answer);
    for (const Request& request : equals_.detach(active.key)) give(answer_to(request, answer), true);
}

void Generator::give(const Answer& answer, bool equal) {
    sink_(answer);
    const Completion& completion = answer.completion;
    count(completion.index == 0, completion.finish_reason == FinishReason::Error, completion.prompt_tokens,
          completion.completion_tokens, {}, equal);
}

std::vector<PartialAnswer> Generator::unfinished() const {
    std::vector<PartialAnswer> all;
    for (const auto& [ticket, active] : active_) {
        if (active->tokens.empty()) continue;
        PartialAnswer partial{active->key.fingerprint, active->tokens, {}};
        if (active->sampling.logprobs > 0) partial.logprobs = active->logprobs;
        all.push_back(std::move(partial));
    }
    return all;
}

}  // namespace sluice
