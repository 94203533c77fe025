// What this machine can do at most: how fast memory is read, how fast the processor multiplies. Kernels are
// measured against these.
#pragma once

#include "kernels/cpu/memory.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::kernels::cpu {

// Well beyond every cache of the processors that we know.
inline constexpr std::size_t kStreamBytes = std::size_t{768} << 20U;

// Memory to read, on huge pages as weights are, each thread's part first written by itself.
class ReadStream {
public:
    ReadStream(std::size_t bytes, int threads);
    // Bytes a second of one pass over all of it. Other work slows it down: take the best of several.
    double read_rate() const;
    std::size_t bytes() const { return bytes_; }

private:
    std::size_t bytes_;
    int threads_;
    Bytes memory_;
};

// Operations a second (a multiplication and an addition are two) of `steps` rounds on each thread, in
// registers alone, of the instruction that products use at `level` (level_of); this machine must have it. Of
// several runs, take the best. The default takes some hundredths of a second.
double multiply_rate(std::string_view level, int threads, std::int64_t steps = 4'000'000);

}  // namespace sluice::kernels::cpu
