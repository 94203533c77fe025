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
    std::vector<Token> tokens;
    std::vector<float> logprobs;
    std::vector<Token> seen;  // distinct, ascending; kept with a repetition penalty only
};

Generator::Generator(PromptSource& source, const RequestEncoder& encoder, const Tokenizer& tokenizer,
                     Scheduler& scheduler, Engine& engine, GeneratorOptions options, Sink sink)
    : source_(source),
      encoder_(encoder),
      tokenizer_(tokenizer),
      scheduler_(scheduler),
      engine_(engine),
      options_(options),
      sink_(std::move(sink)) {}

Generator::~Generator() = default;

bool Generator::run(const std::function<bool()>& stop, Progress& progress) {
    for (;;) {
        admit_requests(stop);
        if (scheduler_.empty() && source_ended_) return true;
        if (stop()) return false;
        if (!scheduler_.empty()) step();
        progress.update(tally_);
    }
}

// Never waits for input while there is something to run, and never long without a look at `stop`.
void Generator::admit_requests(const std::function<bool()>& stop) {
    while (!source_ended_ && scheduler_.wants_more() && !stop()) {
        if (!source_.ready(scheduler_.empty() ? 100 : 0)) return;
        std::optional<ParsedLine> line = source_.next();
        if (!line) {
            source_ended_ = true;
        } else if (auto* request = std::get_if<Request>(&*line)) {
            admit(std::move(*request));
        } else {
            answer({error_record(std::get<FailedRequest>(*line)), {}, {}});
        }
    }
}

void Generator::admit(Request request) {
    auto encoded = encoder_.encode(request);
    if (auto* problem = std::get_if<RequestError>(&encoded)) {
        answer({error_record(request, std::move(*problem)), {}, {}});
        return;
    }
    auto& tokens = std::get<std::vector<Token>>(encoded);
    const auto prompt = static_cast<std::int64_t>(tokens.size());
    auto active = std::make_unique<Active>(std::move(request), prompt, tokenizer_);
    active->most_tokens =
        std::min<std::int64_t>(active->request.sampling.max_new_tokens, options_.longest - prompt);
    if (active->request.sampling.repetition_penalty != 1) {
        active->seen = tokens;
        std::ranges::sort(active->seen);
        active->seen.erase(std::ranges::unique(active->seen).begin(), active->seen.end());
    }
    active_.emplace(scheduler_.admit(std::move(tokens)), std::move(active));
}

void Generator::step() {
    const Scheduler::Work work = scheduler_.next();
    StepPlan plan;
    plan.step = work.step;
    for (const Ticket ticket : work.sampled) plan.samples.push_back(wishes_of(ticket));
    const std::vector<Pick> picks = engine_.run(plan);
    scheduler_.ran();
    tally_.prefill_rows += work.prefill_rows;
    tally_.decode_rows += work.decode_rows;
    for (std::size_t i = 0; i < picks.size(); ++i) take(work.sampled[i], picks[i]);
    tally_.running = scheduler_.running();
    tally_.waiting = scheduler_.waiting();
    tally_.pages_held = scheduler_.pages_held();
    tally_.pages = scheduler_.pages();
    tally_.shared_tokens = scheduler_.shared_tokens();
    tally_.preemptions = scheduler_.preemptions();
}

SampleRow Generator::wishes_of(Ticket ticket) const {
    const Active& active = *active_.at(ticket);
    const Sampling& sampling = active.request.sampling;
    const auto position = static_cast<std::uint64_t>(active.prompt_tokens) + active.tokens.size();
    return {{sampling.temperature, sampling.top_p, sampling.min_p, sampling.repetition_penalty,
             sampling.top_k, kernels::draw_key(sampling.seed, position)},
            active.seen};
}

void Generator::take(Ticket ticket, const Pick& pick) {
    Active& active = *active_.at(ticket);
    const Sampling& sampling = active.request.sampling;
    if (!pick.valid) {
        Completion failed = error_record(
            active.request, {"nan_logits", fmt::format("the model's logits at token {} are not finite",
                                                       active.tokens.size())});
        scheduler_.finish(ticket);
        active_.erase(ticket);
        answer({std::move(failed), {}, {}});
        return;
    }
    if (!sampling.ignore_eos && std::ranges::binary_search(tokenizer_.special().eos, pick.token)) {
        finish(ticket, active, FinishReason::Stop);
        return;
    }
    active.tokens.push_back(pick.token);
    active.logprobs.push_back(pick.logprob);
    if (sampling.repetition_penalty != 1) {
        const auto place = std::ranges::lower_bound(active.seen, pick.token);
        if (place == active.seen.end() || *place != pick.token) active.seen.insert(place, pick.token);
    }
    if (active.stop.push(active.text.push(pick.token))) {
        finish(ticket, active, FinishReason::Stop);
    } else if (static_cast<std::int64_t>(active.tokens.size()) >= active.most_tokens) {
        finish(ticket, active, FinishReason::Length);
    } else {
        scheduler_.append(ticket, pick.token);
    }
}

void Generator::finish(Ticket ticket, Active& active, FinishReason reason) {
    active.stop.push(active.text.finish());
    Answer done;
    done.completion.id = active.request.id;
    done.completion.id_json = active.request.id_json;
    done.completion.text = active.stop.text();
    done.completion.finish_reason = reason;
    done.completion.prompt_tokens = active.prompt_tokens;
    done.completion.completion_tokens = static_cast<std::int64_t>(active.tokens.size());
    if (options_.return_tokens) done.completion.tokens = active.tokens;
    done.completion.meta_json = active.request.meta_json;
    done.tokens = std::move(active.tokens);
    done.logprobs = std::move(active.logprobs);
    scheduler_.finish(ticket);
    active_.erase(ticket);
    answer(std::move(done));
}

void Generator::answer(Answer answer) {
    sink_(answer);
    ++tally_.answered;
    if (answer.completion.finish_reason == FinishReason::Error) ++tally_.errors;
    tally_.prompt_tokens += answer.completion.prompt_tokens;
    tally_.completion_tokens += answer.completion.completion_tokens;
}

}  // namespace sluice
