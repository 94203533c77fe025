// Completions of requests.
#pragma once

#include "engine/request_loop.hpp"
#include "text/completion_file.hpp"
#include "text/detokenizer.hpp"
#include "text/stop_strings.hpp"
#include "text/token_logprobs.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

namespace sluice {

struct GeneratorOptions {
    bool return_tokens = false;
    int longest = 0;                      // positions of a sequence
    std::vector<Token> end_of_turn = {};  // end a completion as the tokenizer's eos does
    // Gets each completion's text as it appears, by the request's id. The pieces together are the text.
    std::function<void(std::string_view id, std::string_view piece)> on_text = {};
};

// A completion with what a test wants to know of it besides.
struct Answer {
    Completion completion;
    std::vector<Token> tokens;
    std::vector<PositionLogprobs> logprobs;  // of each token; alternatives where the request asks for them
};

class Generator final : public RequestLoop {
public:
    using Sink = std::function<void(const Answer&)>;

    // `sink` gets every answer as it finishes.
    Generator(const LoopParts& parts, GeneratorOptions options, Sink sink);
    ~Generator() override;

    // Between two runs: answers what is on its way with what it has so far.
    void finish_early();

private:
    struct Active;

    void admit(Request request) override;
    void answer(const FailedRequest& failed) override;
    SampleRow wishes_of(Ticket ticket, std::int64_t position) const override;
    void take(Ticket ticket, std::int64_t position, Pick pick) override;

    bool ends_completion(Token token) const;
    void finish(Ticket ticket, Active& active, FinishReason reason);
    void show(Active& active, std::size_t end) const;
    void give(const Answer& answer);

    GeneratorOptions options_;
    Sink sink_;
    std::map<Ticket, std::unique_ptr<Active>> active_;
};

}  // namespace sluice
