// The loops over logits that an instruction set speeds up, and what is done with them.
#pragma once

#include "kernels/args.hpp"
#include "kernels/kernel.hpp"

#include <cstdint>

namespace sluice::kernels::cpu {

// Logits whose exponentials are summed in float32; the sums of chunks are added in double, in their order.
inline constexpr std::int64_t kVocabChunk = 256;

struct VocabLoops {
    // The greatest of every chunk, NaN aside (-infinity for nothing else); whether all are below +infinity.
    bool (*maxima)(const float* logits, std::int64_t count, float* chunk_max);
    // exp((l - max) * rate) summed over every chunk. `max` is finite.
    void (*masses)(const float* logits, std::int64_t count, float max, float rate, double* chunk_sum);
    // The same of one chunk, not summed; `out` holds kVocabChunk.
    void (*exponentials)(const float* logits, std::int64_t count, float max, float rate, float* out);
    // Where the logits that are not below the floor stand (a NaN never is); their number.
    int (*not_below)(const float* logits, std::int64_t count, float floor, std::int32_t* at);
};

void vocab_with(const VocabLoops& loops, const VocabArgs& args, const Execution& execution);

}  // namespace sluice::kernels::cpu
