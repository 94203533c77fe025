// What a completion follows from.
#pragma once

#include "text/request.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace sluice {

// Of the fields of `sampling`, those that decide a completion of a prompt, in one form: `seed` is the one
// that completion number `index` of the request's n is drawn with, and 0 where nothing is drawn; `n` is 1;
// max_new_tokens is at most `room`, the tokens that the sequence may still have.
Sampling deciding_sampling(Sampling sampling, int index, std::int64_t room);

// Requests of equal keys have the same completion, bit for bit, in all runs of one run record.
struct CompletionKey {
    std::string bytes;              // the prompt's tokens, the sampling, the shape
    std::uint64_t fingerprint = 0;  // xxh3-64 of the bytes

    bool operator==(const CompletionKey& other) const { return bytes == other.bytes; }
};

struct FingerprintOf {
    std::size_t operator()(const CompletionKey& key) const { return key.fingerprint; }
};

// The sampling is one of deciding_sampling(); `shape` is that of the log-probabilities it asks for.
CompletionKey completion_key(std::span<const Token> prompt, const Sampling& sampling, Api shape = Api::None);

}  // namespace sluice
