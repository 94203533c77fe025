// Steps as the scheduler would plan them, for sequences that nobody asked for.
#pragma once

#include "engine/step_plan.hpp"
#include "model/kv_cache.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace sluice {

// Tokens at random, each time others; any but `masked`, whose keys attention does not see.
class RandomTokens {
public:
    RandomTokens(int vocabulary, std::optional<int> masked, std::uint64_t seed)
        : vocabulary_(vocabulary), masked_(masked), seed_(seed) {}
    std::int32_t next();

private:
    int vocabulary_;
    std::optional<int> masked_;
    std::uint64_t seed_, drawn_ = 0;
};

// Pages of the cache that `sequences` of `length` tokens take.
std::int64_t pages_of(int sequences, int length);

// A token for each of `batch` sequences, at position context - 1, and the next one chosen, greedily.
StepPlan decode_step(int batch, int context, RandomTokens& tokens);

// `prompts` side by side, `rows` tokens of each in a step, until `length` are computed; then each chooses its
// first token.
std::vector<StepPlan> prefill_steps(int prompts, int length, int rows, RandomTokens& tokens);

// Fills the first `pages` of every layer with numbers of the size that keys and values have.
void fill_with_noise(const Ops& ops, const KvCache& cache, std::size_t layers, std::int64_t pages);

}  // namespace sluice
