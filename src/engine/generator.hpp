// Completions of requests.
#pragma once

#include "engine/answer.hpp"
#include "engine/equal_requests.hpp"
#include "engine/last_encoding.hpp"
#include "engine/request_loop.hpp"
#include "text/answer_lines.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace sluice {

struct GeneratorOptions {
    bool return_tokens = false;
    int longest = 0;                              // positions of a sequence
    OutputFormat format = OutputFormat::AsAsked;  // of the lines that show the answers
    std::vector<Token> end_of_turn = {};          // end a completion as the tokenizer's eos does
    // Gets each completion's text as it appears, by the request's id. The pieces together are the text. Equal
    // requests are then computed one by one.
    std::function<void(std::string_view id, std::string_view piece)> on_text = {};
    // The first tokens of the completion of this fingerprint, as an earlier run computed them; empty: nothing
    // is known. Asked for every request that is computed; tokens that cannot be its own are ignored.
    std::function<std::optional<PartialAnswer>(const Request&, std::uint64_t fingerprint)> earlier = {};
    bool keep_logprobs = false;  // in every Answer, also where the request asks for none
};

class Generator final : public RequestLoop {
public:
    using Sink = std::function<void(const Answer&)>;

    // `sink` gets every answer as it finishes.
    Generator(const LoopParts& parts, GeneratorOptions options, Sink sink);
    ~Generator() override;

    // Between two runs: answers what is on its way with what it has so far.
    void finish_early();

    // Between two runs: what a later run needs to go on where this one stands. One for each completion that
    // has tokens and has no answer, however many equal requests share it.
    std::vector<PartialAnswer> unfinished() const override;

private:
    struct Active;
    struct Finished;

    void give_finished() override;
    void admit(Request request) override;
    void answer(const FailedRequest& failed) override;
    SampleRow wishes_of(Ticket ticket, std::int64_t position) const override;
    void take(Ticket ticket, std::int64_t position, Pick pick) override;
    bool wants_more() const override;

    void begin(std::unique_ptr<Active> active, std::vector<Token> tokens);
    std::optional<FinishReason> add(Active& active, Pick pick) const;
    std::optional<FinishReason> replay(Active& active) const;
    bool ends_completion(const Sampling& sampling, Token token) const;
    bool may_begin_with(const Active& active, const PartialAnswer& earlier) const;
    bool read_text(Active& active) const;
    void show(Active& active, std::size_t end) const;
    Answer completed(Active& active, FinishReason reason) const;
    static Answer not_finite(const Active& active);
    void finish(Ticket ticket, FinishReason reason);
    void settle(const Active& active, const Answer& answer);
    void give_to_equals(const Active& active, const Answer& answer);
    void give(const Answer& answer, bool equal = false);

    GeneratorOptions options_;
    Sink sink_;
    std::map<Ticket, std::unique_ptr<Active>> active_;
    std::vector<Finished> finished_;  // whose answers are to be given
    EqualRequests equals_;
    LastEncoding last_encoding_;
};

}  // namespace sluice
