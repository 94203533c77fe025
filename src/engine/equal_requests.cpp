#include "engine/equal_requests.hpp"

#include <utility>
#include <variant>

namespace sluice {
namespace {

// About what it takes in memory, with both copies of its key.
std::size_t bytes_of(const CompletionKey& key, const Answer& answer) {
    const Completion& completion = answer.completion;
    std::size_t bytes = 512 + 2 * key.bytes.size() + completion.text.size() + completion.logprobs_json.size();
    bytes += (completion.tokens ? 2 : 1) * answer.tokens.size() * sizeof(Token);
    for (const PositionLogprobs& position : answer.logprobs)
        bytes += sizeof position + position.top.size() * sizeof(TokenLogprob);
    return bytes;
}

// About what it takes in memory, without its input.
std::size_t bytes_of(const Request& request) {
    std::size_t bytes = sizeof request + request.id.size() + request.id_json.size() + request.where.size() +
                        request.meta_json.size() + request.api_model.size();
    for (const std::string& stop : request.sampling.stop) bytes += sizeof stop + stop.size();
    return bytes;
}

}  // namespace

const Answer* EqualRequests::find(const CompletionKey& key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return nullptr;
    kept_.splice(kept_.end(), kept_, found->second);
    return &found->second->answer;
}

bool EqualRequests::attach(const CompletionKey& key, Request&& request) {
    const auto [place, is_first] = on_their_way_.try_emplace(key);
    if (is_first) return false;
    request.input = std::string();  // its tokens are those of the key
    bytes_attached_ += bytes_of(request);
    ++attached_;
    place->second.push_back(std::move(request));
    return true;
}

std::vector<Request> EqualRequests::detach(const CompletionKey& key) {
    const auto found = on_their_way_.find(key);
    if (found == on_their_way_.end()) return {};
    std::vector<Request> equals = std::move(found->second);
    on_their_way_.erase(found);
    attached_ -= static_cast<std::int64_t>(equals.size());
    for (const Request& request : equals) bytes_attached_ -= bytes_of(request);
    return equals;
}

void EqualRequests::keep(const CompletionKey& key, Answer answer) {
    answer.completion.meta_json.clear();  // each request has its own
    const std::size_t bytes = bytes_of(key, answer);
    if (bytes > room_ || by_key_.contains(key)) return;
    while (bytes_ + bytes > room_) {
        bytes_ -= kept_.front().bytes;
        by_key_.erase(kept_.front().key);
        kept_.pop_front();
    }
    by_key_.emplace(key, kept_.insert(kept_.end(), {key, std::move(answer), bytes}));
    bytes_ += bytes;
}

}  // namespace sluice
