// The table of rotations.
#pragma once

#include "model/config.hpp"

#include <vector>

namespace sluice {

// Inverse frequency of each pair, [dim / 2], in float32 as the reference implementations compute it: plain,
// stretched by a constant, or blended between the two by the number of turns in the original length, linearly
// in the turns (Llama3) or in the pair's index (YaRN, arXiv:2309.00071, 3.2).
std::vector<float> rope_frequencies(const RopeSpec& rope);

// [positions, dim / 2, 2]: cos and sin of position * frequency, times the amplitude.
std::vector<float> rope_table(const RopeSpec& rope, int positions);

}  // namespace sluice
