// Rank 0's side of a run: requests in, answers out. What generating and scoring share.
#pragma once

#include "engine/batch_tuner.hpp"
#include "engine/engine.hpp"
#include "engine/progress.hpp"
#include "engine/request_encoder.hpp"
#include "engine/scheduler.hpp"
#include "text/partial_answers.hpp"
#include "text/prompt_file.hpp"
#include "text/tokenizer.hpp"

#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <vector>

namespace sluice {

// What a loop works with; everything must outlive it.
struct LoopParts {
    PromptSource& source;
    const RequestEncoder& encoder;
    const Tokenizer& tokenizer;
    Scheduler& scheduler;
    Engine& engine;
    // Whether what asks for this ordinal (Request::ordinal) may be admitted already; empty: always. The
    // lowest one without an answer always may.
    std::function<bool(std::int64_t ordinal)> has_room = {};
    // Called instead of a step while nothing runs, every 100 ms or so if the input is quiet; empty: nothing
    // to do.
    std::function<void()> idle = {};
    // Hears what each step cost, before the next one is planned; empty: nobody wants to know.
    std::function<void(const StepCost&)> measured = {};
};

class RequestLoop {
public:
    explicit RequestLoop(const LoopParts& parts) : parts_(parts) {}
    RequestLoop(const RequestLoop&) = delete;
    RequestLoop& operator=(const RequestLoop&) = delete;
    virtual ~RequestLoop() = default;

    // Until every request is answered (true), or `stop` says so between two steps (false). Errors: those of
    // the source, when all requests before are answered, and of whoever takes the answers.
    // `watch` sees the tally after each step, and now and then while there is nothing to do.
    bool run(const std::function<bool()>& stop, const std::function<void(const Tally&)>& watch = {});

    // Between two runs: what a later run needs to go on where this one stands.
    virtual std::vector<PartialAnswer> unfinished() const { return {}; }

    const Tally& tally() const { return tally_; }

protected:
    // Gives the answers that take() has left to be given. Called while the next step runs, before more
    // requests are admitted, and when run() returns.
    virtual void give_finished() = 0;
    // Gives the scheduler a sequence for the request, or answers it at once.
    virtual void admit(Request request) = 0;
    virtual void answer(const FailedRequest& failed) = 0;
    // What is asked of the logits at `position` of a sequence.
    virtual SampleRow wishes_of(Ticket ticket, std::int64_t position) const = 0;
    // What they gave. A sequence may be finished while others of its positions are still to come in this
    // step. The next step waits for this: what can wait itself is left to give_finished().
    virtual void take(Ticket ticket, std::int64_t position, Pick pick) = 0;

    // Whether more requests may be admitted before others are answered.
    virtual bool wants_more() const { return parts_.scheduler.wants_more(); }

    const LoopParts& parts() const { return parts_; }
    // Counts an answer that was given: `first` of its request's, `equal` to what was computed for another
    // request.
    void count(bool first, bool error, std::int64_t prompt_tokens, std::int64_t completion_tokens,
               const ScoreTotals& scores, bool equal = false);

private:
    // What the host does while a step runs, or when none does.
    void serve(const std::function<bool()>& stop);
    void admit_requests(const std::function<bool()>& stop);
    bool read_line();
    bool admit_line();
    void step(const std::function<bool()>& stop);

    LoopParts parts_;
    bool source_ended_ = false;
    std::exception_ptr trouble_;      // that ended the source
    std::optional<ParsedLine> line_;  // was read, and has no room yet
    Tally tally_;
};

}  // namespace sluice
