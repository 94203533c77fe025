// Which sizes steps that only decode are given, so that few recur.
#pragma once

#include "model/step.hpp"

#include <cstdint>

namespace sluice {

// Every sequence has one row, and its logits are wanted.
bool only_decodes(const Step& step);

// The rows that a step of `rows` is given, at most `most`, which it does not exceed: 1, 2, 4, then eights,
// for products take rows in eights, and from 64 on an eighth of the next power of two.
int rung_of_rows(int rows, int most);
// The context that attention is planned for where the longest is this one: a multiple of 512 or, beyond 2048,
// of half the power of two below; at most `most`, likewise.
std::int64_t rung_of_context(std::int64_t context, std::int64_t most);

// Brings a step that only decodes to `rows` rows. Those that are added repeat the rows of the shortest
// contexts: they write the same bits to the same places of the cache, and bring no experts of their own; not
// one row many times, lest its experts have the most to do.
void pad(Step& step, int rows);

}  // namespace sluice
