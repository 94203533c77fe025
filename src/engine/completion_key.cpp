#include "engine/completion_key.hpp"

#include <xxhash.h>

#include <algorithm>
#include <type_traits>

namespace sluice {
namespace {

void add(std::string& bytes, const void* data, std::size_t size) {
    bytes.append(static_cast<const char*>(data), size);
}

template <class Number>
void add(std::string& bytes, Number number) {
    static_assert(std::is_arithmetic_v<Number>);
    add(bytes, &number, sizeof number);
}

}  // namespace

Sampling deciding_sampling(Sampling sampling, int index, std::int64_t room) {
    sampling.seed = sampling.temperature > 0 ? sampling.seed + static_cast<std::uint64_t>(index) : 0;
    sampling.n = 1;
    sampling.max_new_tokens = static_cast<int>(std::min<std::int64_t>(sampling.max_new_tokens, room));
    return sampling;
}

// Lists are preceded by their sizes: no two keys have the same bytes.
CompletionKey completion_key(std::span<const Token> prompt, const Sampling& sampling, Api shape) {
    CompletionKey key;
    add(key.bytes, prompt.size());
    add(key.bytes, prompt.data(), prompt.size_bytes());
    add(key.bytes, sampling.max_new_tokens);
    add(key.bytes, sampling.temperature);
    add(key.bytes, sampling.top_k);
    add(key.bytes, sampling.top_p);
    add(key.bytes, sampling.min_p);
    add(key.bytes, sampling.repetition_penalty);
    add(key.bytes, sampling.seed);
    add(key.bytes, sampling.stop.size());
    for (const std::string& stop : sampling.stop) {
        add(key.bytes, stop.size());
        key.bytes += stop;
    }
    add(key.bytes, sampling.ignore_eos);
    add(key.bytes, sampling.logprobs);
    if (sampling.logprobs > 0) add(key.bytes, static_cast<int>(shape));
    key.fingerprint = XXH3_64bits(key.bytes.data(), key.bytes.size());
    return key;
}

}  // namespace sluice
