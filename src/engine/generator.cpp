#include "engine/generator.hpp"

#include "core/error.hpp"
#include "kernels/random.hpp"

#include <algorithm>

namespace sluice {

// A request on its way.
struct Generator::Active {
    Active(Request asked, std::int64_t prompt, const Tokenizer& tokenizer)
        : request(std::move(asked)),
          prompt_tokens(prompt),
          text(tokenizer, true),
          stop(request.sampling.stop) {}

    Request request;
    std::int64_t prompt_tokens;
    std::int64_t most_tokens = 0;  // of the completion
    Detokenizer text;
    StopMatcher stop;
    std::size_t shown = 0;  // bytes of the text
    std::vector<Token> tokens;
    std::vector<PositionLogprobs> logprobs;  // of each token
    std::vector<Token> seen;                 // distinct, ascending; kept with a repetition penalty only
};

Generator::Generator(const LoopParts& parts, GeneratorOptions options, Sink sink)
    : RequestLoop(parts), options_(std::move(options)), sink_(std::move(sink)) {}

Generator::~Generator() = default;

void Generator::admit(Request request) {
    auto encoded = parts().encoder.encode(request);
    if (auto* problem = std::get_if<RequestError>(&encoded)) {
        give({error_record(request, std::move(*problem)), {}, {}});
        return;
    }
    auto& tokens = std::get<std::vector<Token>>(encoded);
    const auto prompt = static_cast<std::int64_t>(tokens.size());
    auto active = std::make_unique<Active>(std::move(request), prompt, parts().tokenizer);
    active->most_tokens =
        std::min<std::int64_t>(active->request.sampling.max_new_tokens, options_.longest - prompt);
    if (active->request.sampling.repetition_penalty != 1) {
        active->seen = tokens;
        std::ranges::sort(active->seen);
        active->seen.erase(std::ranges::unique(active->seen).begin(), active->seen.end());
    }
    active_.emplace(parts().scheduler.admit(std::move(tokens)), std::move(active));
}

void Generator::answer(const FailedRequest& failed) { give({error_record(failed), {}, {}}); }

// The random numbers are those of the position that the token will take.
SampleRow Generator::wishes_of(Ticket ticket, std::int64_t position) const {
    const Active& active = *active_.at(ticket);
    const Sampling& sampling = active.request.sampling;
    SampleRow wishes;
    wishes.choice = {
        sampling.temperature, sampling.top_p,
        sampling.min_p,       sampling.repetition_penalty,
        sampling.top_k,       kernels::draw_key(sampling.seed, static_cast<std::uint64_t>(position) + 1)};
    wishes.seen = active.seen;
    wishes.logprobs = sampling.logprobs;
    return wishes;
}

bool Generator::ends_completion(Token token) const {
    return std::ranges::binary_search(parts().tokenizer.special().eos, token) ||
           std::ranges::find(options_.end_of_turn, token) != options_.end_of_turn.end();
}

void Generator::take(Ticket ticket, std::int64_t, Pick pick) {
    Active& active = *active_.at(ticket);
    const Sampling& sampling = active.request.sampling;
    if (!pick.valid) {
        Completion failed = error_record(
            active.request, {"nan_logits", fmt::format("the model's logits at token {} are not finite",
                                                       active.tokens.size())});
        parts().scheduler.finish(ticket);
        active_.erase(ticket);
        give({std::move(failed), {}, {}});
        return;
    }
    if (!sampling.ignore_eos && ends_completion(pick.token)) {
        finish(ticket, active, FinishReason::Stop);
        return;
    }
    active.tokens.push_back(pick.token);
    active.logprobs.push_back({{pick.token, pick.logprob}, std::move(pick.top)});
    if (sampling.repetition_penalty != 1) {
        const auto place = std::ranges::lower_bound(active.seen, pick.token);
        if (place == active.seen.end() || *place != pick.token) active.seen.insert(place, pick.token);
    }
    if (active.stop.push(active.text.push(pick.token))) {
        finish(ticket, active, FinishReason::Stop);
    } else if (static_cast<std::int64_t>(active.tokens.size()) >= active.most_tokens) {
        finish(ticket, active, FinishReason::Length);
    } else {
        if (options_.on_text) show(active, active.stop.settled());
        parts().scheduler.append(ticket, pick.token);
    }
}

void Generator::show(Active& active, std::size_t end) const {
    if (end == active.shown) return;
    options_.on_text(active.request.id,
                     std::string_view(active.stop.text()).substr(active.shown, end - active.shown));
    active.shown = end;
}

void Generator::finish(Ticket ticket, Active& active, FinishReason reason) {
    active.stop.push(active.text.finish());
    if (options_.on_text) show(active, active.stop.text().size());
    Answer done;
    done.completion.id = active.request.id;
    done.completion.id_json = active.request.id_json;
    done.completion.text = active.stop.text();
    done.completion.finish_reason = reason;
    done.completion.prompt_tokens = active.prompt_tokens;
    done.completion.completion_tokens = static_cast<std::int64_t>(active.tokens.size());
    if (options_.return_tokens) done.completion.tokens = active.tokens;
    if (active.request.sampling.logprobs > 0)
        done.completion.logprobs_json = to_json(parts().tokenizer, active.logprobs);
    done.completion.meta_json = active.request.meta_json;
    done.tokens = std::move(active.tokens);
    done.logprobs = std::move(active.logprobs);
    parts().scheduler.finish(ticket);
    active_.erase(ticket);
    give(done);
}

void Generator::finish_early() {
    while (!active_.empty()) {
        const auto first = active_.begin();
        finish(first->first, *first->second, FinishReason::Stop);
    }
}

void Generator::give(const Answer& answer) {
    sink_(answer);
    const Completion& completion = answer.completion;
    count(completion.finish_reason == FinishReason::Error, completion.prompt_tokens,
          completion.completion_tokens, {});
}

}  // namespace sluice
