// Log-probabilities of given texts.
#pragma once

#include "engine/request_loop.hpp"
#include "text/score.hpp"

#include <functional>
#include <map>
#include <memory>
#include <variant>
#include <vector>

namespace sluice {

class Scorer final : public RequestLoop {
public:
    using Sink = std::function<void(const Score&)>;

    // longest: tokens of a text. `sink` gets every score as it finishes.
    Scorer(const LoopParts& parts, int longest, Sink sink);
    ~Scorer() override;

private:
    struct Active;

    void give_finished() override;
    void admit(Request request) override;
    void answer(const FailedRequest& failed) override;
    SampleRow wishes_of(Ticket ticket, std::int64_t position) const override;
    void take(Ticket ticket, std::int64_t position, Pick pick) override;

    std::variant<std::unique_ptr<Active>, RequestError> encode(const Request& request) const;
    void finish(Active& active);
    void give(const Score& score);

    int longest_;
    Sink sink_;
    std::map<Ticket, std::unique_ptr<Active>> active_;
    std::vector<std::unique_ptr<Active>> finished_;  // whose scores are to be given
};

}  // namespace sluice
