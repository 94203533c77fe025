// Sixteen rows of a matrix to the pairs of one panel: a transposition, in 16-byte registers that every
// processor has.
#pragma once

#include "kernels/cpu/layout.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sluice::kernels::cpu {

// Lines that are being written.
struct OwnLines {
    std::byte* first;
    std::int64_t step;
};

// `Pair`: std::uint16_t for two codes, std::uint32_t for two bfloat16.
template <class Pair>
class Interleave {
public:
    // rows[lane][p] -> pair p, lane of `lines`, for p of [0, pairs).
    static void run(const std::byte* const (&rows)[kPanel], std::int64_t pairs, OwnLines lines) {
        constexpr std::int64_t kLine = 64 / sizeof(Pair);  // rows are read by whole cache lines
        std::int64_t p = 0;
        for (; p + kLine <= pairs; p += kLine) {
            for (int lane = 0; lane < kPanel; lane += kSide)
                for (std::int64_t i = p; i < p + kLine; i += kSide) square(rows, lane, i, lines);
        }
        for (; p + kSide <= pairs; p += kSide)
            for (int lane = 0; lane < kPanel; lane += kSide) square(rows, lane, p, lines);
        for (; p < pairs; ++p) {
            for (int lane = 0; lane < kPanel; ++lane)
                std::memcpy(place(lines, p, lane), rows[lane] + p * kBytes, kBytes);
        }
    }

private:
    static constexpr std::int64_t kBytes = sizeof(Pair);
    static constexpr int kSide = 16 / sizeof(Pair);
    static constexpr std::int64_t kPairs = 64 / (kPanel * kBytes);  // of a line
    using Vector [[gnu::vector_size(16)]] = Pair;

    static std::byte* place(OwnLines lines, std::int64_t p, int lane) {
        return lines.first + p / kPairs * lines.step + (p % kPairs * kPanel + lane) * kBytes;
    }

    // kSide rows x kSide pairs: rounds of weaving the first half of the registers into the second.
    static void square(const std::byte* const (&rows)[kPanel], int lane, std::int64_t p, OwnLines lines) {
        Vector a[kSide], b[kSide];
        for (int i = 0; i < kSide; ++i) std::memcpy(&a[i], rows[lane + i] + p * kBytes, sizeof(Vector));
        weave(a, b);
        weave(b, a);
        if constexpr (kSide == 8) weave(a, b);
        const Vector* woven = kSide == 8 ? b : a;
        for (int i = 0; i < kSide; ++i) std::memcpy(place(lines, p + i, lane), &woven[i], sizeof(Vector));
    }

    static void weave(const Vector (&from)[kSide], Vector (&to)[kSide]) {
        for (int i = 0; i < kSide / 2; ++i) {
            const Vector low = from[i], high = from[i + kSide / 2];
            if constexpr (kSide == 8) {
                to[2 * i] = __builtin_shufflevector(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
                to[2 * i + 1] = __builtin_shufflevector(low, high, 4, 12, 5, 13, 6, 14, 7, 15);
            } else {
                to[2 * i] = __builtin_shufflevector(low, high, 0, 4, 1, 5);
                to[2 * i + 1] = __builtin_shufflevector(low, high, 2, 6, 3, 7);
            }
        }
    }
};

}  // namespace sluice::kernels::cpu
