// Rank 0's side of a run: requests in, completions out.
#pragma once

#include "engine/engine.hpp"
#include "engine/progress.hpp"
#include "engine/request_encoder.hpp"
#include "engine/scheduler.hpp"
#include "text/completion_file.hpp"
#include "text/detokenizer.hpp"
#include "text/prompt_file.hpp"
#include "text/stop_strings.hpp"

#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace sluice {

struct GeneratorOptions {
    bool return_tokens = false;
    int longest = 0;  // positions of a sequence
};

// A completion with what a test wants to know of it besides.
struct Answer {
    Completion completion;
    std::vector<Token> tokens;
    std::vector<float> logprobs;  // of each token
};

class Generator {
public:
    using Sink = std::function<void(const Answer&)>;

    // All references must outlive the generator. `sink` gets every answer as it finishes.
    Generator(PromptSource& source, const RequestEncoder& encoder, const Tokenizer& tokenizer,
              Scheduler& scheduler, Engine& engine, GeneratorOptions options, Sink sink);
    ~Generator();

    // Until every request is answered (true), or `stop` says so between two steps (false). Errors: those of
    // the source and the sink.
    bool run(const std::function<bool()>& stop, Progress& progress);

    const Tally& tally() const { return tally_; }

private:
    struct Active;

    void admit_requests(const std::function<bool()>& stop);
    void admit(Request request);
    void step();
    void take(Ticket ticket, const Pick& pick);
    void finish(Ticket ticket, Active& active, FinishReason reason);
    void answer(Answer answer);
    SampleRow wishes_of(Ticket ticket) const;

    PromptSource& source_;
    const RequestEncoder& encoder_;
    const Tokenizer& tokenizer_;
    Scheduler& scheduler_;
    Engine& engine_;
    GeneratorOptions options_;
    Sink sink_;
    bool source_ended_ = false;
    std::map<Ticket, std::unique_ptr<Active>> active_;
    Tally tally_;
};

}  // namespace sluice
