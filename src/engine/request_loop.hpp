// Rank 0's side of a run: requests in, answers out. What generating and scoring share.
#pragma once

#include "engine/engine.hpp"
#include "engine/progress.hpp"
#include "engine/request_encoder.hpp"
#include "engine/scheduler.hpp"
#include "text/prompt_file.hpp"
#include "text/tokenizer.hpp"

#include <cstdint>
#include <functional>

namespace sluice {

// What a loop works with; everything must outlive it.
struct LoopParts {
    PromptSource& source;
    const RequestEncoder& encoder;
    const Tokenizer& tokenizer;
    Scheduler& scheduler;
    Engine& engine;
};

class RequestLoop {
public:
    explicit RequestLoop(const LoopParts& parts) : parts_(parts) {}
    RequestLoop(const RequestLoop&) = delete;
    RequestLoop& operator=(const RequestLoop&) = delete;
    virtual ~RequestLoop() = default;

    // Until every request is answered (true), or `stop` says so between two steps (false). Errors: those of
    // the source and of whoever takes the answers.
    bool run(const std::function<bool()>& stop, Progress& progress);

    const Tally& tally() const { return tally_; }

protected:
    // Gives the scheduler a sequence for the request, or answers it at once.
    virtual void admit(Request request) = 0;
    virtual void answer(const FailedRequest& failed) = 0;
    // What is asked of the logits at `position` of a sequence.
    virtual SampleRow wishes_of(Ticket ticket, std::int64_t position) const = 0;
    // What they gave. A sequence may be finished while others of its positions are still to come in this
    // step.
    virtual void take(Ticket ticket, std::int64_t position, Pick pick) = 0;

    const LoopParts& parts() const { return parts_; }
    // Counts an answer that was given.
    void count(bool error, std::int64_t prompt_tokens, std::int64_t completion_tokens,
               const ScoreTotals& scores);

private:
    void admit_requests(const std::function<bool()>& stop);
    void step();

    LoopParts parts_;
    bool source_ended_ = false;
    Tally tally_;
};

}  // namespace sluice
