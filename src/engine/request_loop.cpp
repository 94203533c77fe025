#include "engine/request_loop.hpp"

#include "comm/rank_state.hpp"
#include "core/error.hpp"

#include <iterator>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {
namespace {

// Lines between two steps, and bytes of what they ask: admitting a whole input of requests that need no step
// would hold up what runs, and so would encoding long ones.
constexpr int kMostLines = 4096;
constexpr std::size_t kMostBytes = std::size_t{4} << 20;  // about a million tokens

std::int64_t ordinal_of(const ParsedLine& line) {
    return std::visit([](const auto& asked) { return asked.ordinal; }, line);
}

// What there is to encode.
std::size_t bytes_of(const ParsedLine& line) {
    const auto* request = std::get_if<Request>(&line);
    if (request == nullptr) return 0;
    std::size_t bytes = request->completion ? request->completion->size() : 0;
    if (const auto* messages = std::get_if<std::vector<Message>>(&request->input)) {
        for (const Message& message : *messages) bytes += message.content.size();
    } else if (const auto* tokens = std::get_if<std::vector<Token>>(&request->input)) {
        bytes += tokens->size() * sizeof(Token);
    } else {
        bytes += std::get<std::string>(request->input).size();
    }
    return bytes;
}

StepCost cost_of(const Step& step, double seconds) {
    StepCost cost{static_cast<int>(step.tokens.size()), 0, seconds, static_cast<int>(step.logit_rows.size())};
    for (const StepSequence& sequence : step.sequences) cost.contexts += sequence.context;
    return cost;
}

}  // namespace

bool RequestLoop::run(const std::function<bool()>& stop, const std::function<void(const Tally&)>& watch) {
    for (;;) {
        note_progress();
        if (parts_.scheduler.empty()) serve(stop);
        if (parts_.scheduler.empty() && source_ended_ && !line_) {
            if (trouble_) std::rethrow_exception(trouble_);
            return true;
        }
        if (stop()) {
            give_finished();
            return false;
        }
        if (!parts_.scheduler.empty())
            step(stop);
        else if (parts_.idle)
            parts_.idle();
        if (watch) watch(tally_);
    }
}

void RequestLoop::serve(const std::function<bool()>& stop) {
    give_finished();
    admit_requests(stop);
}

// Never waits for input while there is something to run, and never long without a look at `stop`.
void RequestLoop::admit_requests(const std::function<bool()>& stop) {
    std::size_t bytes = 0;
    for (int lines = 0; lines < kMostLines && bytes < kMostBytes && wants_more() && !stop(); ++lines) {
        if (!read_line()) return;
        bytes += bytes_of(*line_);
        if (!admit_line()) return;
    }
}

// Whether there is a line.
bool RequestLoop::read_line() {
    if (line_) return true;
    if (source_ended_) return false;
    bool ready = true;
    try {
        ready = parts_.source.ready(parts_.scheduler.empty() ? 100 : 0);
        if (ready) line_ = parts_.source.next();
    } catch (const Error&) {  // what was read before is answered first
        trouble_ = std::current_exception();
    }
    if (!ready) return false;
    source_ended_ = !line_;
    return !source_ended_;
}

// Whether there was room for it.
bool RequestLoop::admit_line() {
    const std::int64_t ordinal = ordinal_of(*line_);
    if (parts_.has_room && !parts_.has_room(ordinal)) {
        expect(!parts_.scheduler.empty(), "there is no room for line {}, but all before it are answered",
               ordinal);
        return false;
    }
    ParsedLine line = std::move(*line_);
    line_.reset();
    if (auto* request = std::get_if<Request>(&line)) {
        admit(std::move(*request));
    } else {
        answer(std::get<FailedRequest>(line));
    }
    return true;
}

void RequestLoop::step(const std::function<bool()>& stop) {
    Scheduler& scheduler = parts_.scheduler;
    Scheduler::Work work = scheduler.next();
    StepPlan plan;
    plan.step = std::move(work.step);
    const auto position_of = [&](std::size_t i) {
        return plan.step.positions[static_cast<std::size_t>(plan.step.logit_rows[i])];
    };
    for (std::size_t i = 0; i < work.sampled.size(); ++i)
        plan.samples.push_back(wishes_of(work.sampled[i], position_of(i)));
    parts_.engine.begin(plan);
    std::exception_ptr problem;  // of the host's; the ranks finish their step first
    try {
        serve(stop);
    } catch (...) {
        problem = std::current_exception();
    }
    std::vector<Pick> picks = parts_.engine.finish();
    if (problem) std::rethrow_exception(problem);
    if (parts_.measured) parts_.measured(cost_of(plan.step, parts_.engine.seconds()));
    scheduler.ran();
    ++tally_.steps;
    tally_.sequences += std::ssize(plan.step.sequences);
    tally_.prefill_rows += work.prefill_rows;
    tally_.decode_rows += work.decode_rows;
    for (std::size_t i = 0; i < picks.size(); ++i) take(work.sampled[i], position_of(i), std::move(picks[i]));
    tally_.running = scheduler.running();
    tally_.waiting = scheduler.waiting();
    tally_.pages_held = scheduler.pages_held();
    tally_.pages = scheduler.pages();
    tally_.shared_tokens = scheduler.shared_tokens();
    tally_.preemptions = scheduler.preemptions();
}

void RequestLoop::count(bool first, bool error, std::int64_t prompt_tokens, std::int64_t completion_tokens,
                        const ScoreTotals& scores, bool equal) {
    tally_.answered += first ? 1 : 0;
    tally_.answered_from_equal += equal ? 1 : 0;
    tally_.errors += error ? 1 : 0;
    tally_.prompt_tokens += prompt_tokens;
    tally_.completion_tokens += completion_tokens;
    tally_.scores += scores;
}

}  // namespace sluice
