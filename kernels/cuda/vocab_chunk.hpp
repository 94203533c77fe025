// The chunks that slices of the vocabulary are read in, and how many a call has.
#pragma once

#include "kernels/args.hpp"

#include <cstdint>

namespace sluice::kernels::cuda {

inline constexpr int kVocabChunk = 128;  // logits: a quad a lane

// The masses are taken from the chunk's own maximum; NaN says that a logit is NaN or +infinity.
struct alignas(16) VocabChunk {
    float plain_max, max;
    float plain_sum, sum;
};

// Of the widest slice.
inline int chunks_of(const VocabArgs& args) {
    return static_cast<int>((args.widest_slice + kVocabChunk - 1) / kVocabChunk);
}

inline int slices_of(const VocabArgs& args) { return static_cast<int>(args.first_id.size()) - 1; }

}  // namespace sluice::kernels::cuda
