// What this machine can do at most, measured once when first asked for.
#pragma once

#include <string_view>

namespace sluice::bench {

// Bytes a second that `threads` threads read from the memory that an implementation works on.
double read_rate(std::string_view implementation, int threads);

// Operations a second of the multiply-add that an implementation is made of, a multiply and an add counting
// as two; 0 where no peak is defined (portable code).
double peak_rate(std::string_view implementation, int threads);

}  // namespace sluice::bench
