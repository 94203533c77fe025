// Requests that must have the same completion, which is then computed once.
#pragma once

#include "engine/answer.hpp"
#include "engine/completion_key.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

namespace sluice {

class EqualRequests {
public:
    // room: bytes of finished answers that are kept for requests to come; the longest unused goes first.
    explicit EqualRequests(std::size_t room) : room_(room) {}

    // The answer of an equal request, where one is kept; valid until the next call.
    const Answer* find(const CompletionKey& key);

    // True: an equal request is on its way, and this one, which is moved from, shares its answer. False: from
    // now on, this one is on its way.
    bool attach(const CompletionKey& key, Request&& request);
    // Its way has ended: those that are to be given the same answer, in the order they came. A key that
    // is not on its way has none.
    std::vector<Request> detach(const CompletionKey& key);
    // The answer to all requests of this key.
    void keep(const CompletionKey& key, Answer answer);

    std::int64_t attached() const { return attached_; }
    std::size_t bytes_attached() const { return bytes_attached_; }
    std::size_t bytes_kept() const { return bytes_; }

private:
    struct Kept {
        CompletionKey key;
        Answer answer;
        std::size_t bytes = 0;
    };

    std::size_t room_;
    std::size_t bytes_ = 0, bytes_attached_ = 0;
    std::int64_t attached_ = 0;
    std::unordered_map<CompletionKey, std::vector<Request>, FingerprintOf> on_their_way_;
    std::list<Kept> kept_;  // the longest unused first
    std::unordered_map<CompletionKey, std::list<Kept>::iterator, FingerprintOf> by_key_;
};

}  // namespace sluice
