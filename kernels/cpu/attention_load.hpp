// A block of keys and values from a page into float32 tiles.
#pragma once

#include "kernels/cpu/attention_task.hpp"
#include "kernels/cpu/run.hpp"
#include "kernels/cpu/simd.hpp"
#include "kernels/cpu/simd_fp8.hpp"

#include <cstdint>
#include <type_traits>
#include <utility>

namespace sluice::kernels::cpu {

// Square tiles of 32-bit words in registers: sixteen wide where a register is, else four.
template <class Isa>
struct WordsOf {
    static constexpr int kWidth = 4;
    using Words = std::uint32_t __attribute__((vector_size(16)));
};
template <>
struct WordsOf<Avx512> {
    static constexpr int kWidth = 16;
    using Words = std::uint32_t __attribute__((vector_size(64)));
};

template <class Isa, int Width, class Words>
struct Transpose {
    // Swaps the off-diagonal quarters of every 2S x 2S square, for S = Width / 2, ..., 2, 1.
    [[gnu::always_inline]] static inline void run(Words (&row)[Width]) {
        if constexpr (Width >= 16) stage<8>(row, std::make_integer_sequence<int, Width>());
        if constexpr (Width >= 16) stage<4>(row, std::make_integer_sequence<int, Width>());
        stage<2>(row, std::make_integer_sequence<int, Width>());
        stage<1>(row, std::make_integer_sequence<int, Width>());
    }

private:
    template <int S, int... I>
    [[gnu::always_inline]] static inline void stage(Words (&row)[Width], std::integer_sequence<int, I...>) {
#pragma GCC unroll 16
        for (int i = 0; i < Width; ++i) {
            if ((i & S) != 0) continue;
            const Words a = row[i], b = row[i + S];
            row[i] = __builtin_shufflevector(a, b, ((I & S) != 0 ? Width + I - S : I)...);
            row[i + S] = __builtin_shufflevector(a, b, ((I & S) != 0 ? Width + I : I + S)...);
        }
    }
};

template <class Isa>
struct BlockLoad {
    using F32 = typename Isa::F32;

    // out[d][p] = key p's element d for p < count; the lanes up to 64 are left as they are or repeat the last
    // key. Rows are `stride` elements apart.
    static void keys(const std::uint16_t* rows, std::int64_t stride, int count, std::int64_t dim,
                     float* out) {
        constexpr int kWide = WordsOf<Isa>::kWidth;
        std::int64_t d = 0;
        for (; d + 2 * kWide <= dim; d += 2 * kWide) {
            pairs<kWide, typename WordsOf<Isa>::Words>(rows + d, stride, count, out + d * kPageTokens);
        }
        for (; d + 8 <= dim; d += 8) {
            pairs<4, typename WordsOf<Generic>::Words>(rows + d, stride, count, out + d * kPageTokens);
        }
        for (; d < dim; ++d) {
            for (int p = 0; p < count; ++p) {
                const std::uint32_t bits = static_cast<std::uint32_t>(rows[p * stride + d]) << 16;
                __builtin_memcpy(out + d * kPageTokens + p, &bits, sizeof(bits));
            }
        }
    }

    static void keys(const float* rows, std::int64_t stride, int count, std::int64_t dim, float* out) {
        constexpr int kWide = WordsOf<Isa>::kWidth;
        using Words = typename WordsOf<Isa>::Words;
        std::int64_t d = 0;
        for (; d + kWide <= dim; d += kWide) {
            for (int p = 0; p < count; p += kWide) {
                Words tile[kWide];
                square<kWide>(rows + d, stride, p, count, tile);
#pragma GCC unroll 16
                for (int i = 0; i < kWide; ++i) {
                    __builtin_memcpy(out + (d + i) * kPageTokens + p, &tile[i], sizeof(Words));
                }
            }
        }
        for (; d < dim; ++d) {
            for (int p = 0; p < count; ++p) out[d * kPageTokens + p] = rows[p * stride + d];
        }
    }

    static void keys(const std::uint8_t* rows, std::int64_t stride, int count, std::int64_t dim, float* out) {
        constexpr int kWide = WordsOf<Isa>::kWidth;
        std::int64_t d = 0;
        for (; d + 4 * kWide <= dim; d += 4 * kWide) {
            quads<kWide, typename WordsOf<Isa>::Words>(rows + d, stride, count, out + d * kPageTokens);
        }
        for (; d + 16 <= dim; d += 16) {
            quads<4, typename WordsOf<Generic>::Words>(rows + d, stride, count, out + d * kPageTokens);
        }
        const int left = static_cast<int>(dim - d);
        for (int p = 0; left > 0 && p < count; ++p) {
            float row[16];
            Isa::store(row, load(rows + p * stride + d, left));
            for (int i = 0; i < left; ++i) out[(d + i) * kPageTokens + p] = row[i];
        }
    }

    // out[panel][p][c] for p < count, columns beyond `dim` zero.
    template <class Element>
    static void values(const Element* rows, std::int64_t stride, int count, std::int64_t dim, float* out) {
        for (std::int64_t c = 0; c < dim; c += Isa::kLanes) {
            float* to = out + c / kPanelColumns * kPanelColumns * kPageTokens + c % kPanelColumns;
            const int lanes = dim - c < Isa::kLanes ? static_cast<int>(dim - c) : Isa::kLanes;
            for (int p = 0; p < count; ++p) {
                Isa::store(to + p * kPanelColumns, load(rows + p * stride + c, lanes));
            }
        }
        const std::int64_t padded = (dim + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
        for (std::int64_t c = (dim + Isa::kLanes - 1) / Isa::kLanes * Isa::kLanes; c < padded;
             c += Isa::kLanes) {
            float* to = out + c / kPanelColumns * kPanelColumns * kPageTokens + c % kPanelColumns;
            for (int p = 0; p < count; ++p) Isa::store(to + p * kPanelColumns, Isa::zero());
        }
    }

private:
    SLUICE_SIMD F32 load(const std::uint16_t* p, int lanes) {
        return lanes == Isa::kLanes ? Isa::load_bf16(p) : Isa::load_bf16_some(p, lanes);
    }
    SLUICE_SIMD F32 load(const std::uint8_t* p, int lanes) {
        return lanes == Isa::kLanes ? Fp8<Isa>::load(p) : Fp8<Isa>::load_some(p, lanes);
    }
    SLUICE_SIMD F32 load(const float* p, int lanes) {
        return lanes == Isa::kLanes ? Isa::load(p) : Isa::load_some(p, lanes);
    }

    // Words 0..Width of rows p..p + Width, transposed; rows from `count` on repeat the last.
    template <int Width, class Element, class Words>
    [[gnu::always_inline]] static inline void square(const Element* rows, std::int64_t stride, int p,
                                                     int count, Words (&tile)[Width]) {
#pragma GCC unroll 16
        for (int i = 0; i < Width; ++i) {
            const int row = p + i < count ? p + i : count - 1;
            __builtin_memcpy(&tile[i], rows + row * stride, sizeof(Words));
        }
        Transpose<Isa, Width, Words>::run(tile);
    }

    // 2 * Width elements of every row: a word holds an even element (low) and the odd one after it.
    template <int Width, class Words>
    static void pairs(const std::uint16_t* rows, std::int64_t stride, int count, float* out) {
        for (int p = 0; p < count; p += Width) {
            Words tile[Width];
            square<Width>(rows, stride, p, count, tile);
#pragma GCC unroll 16
            for (int i = 0; i < Width; ++i) {
                const Words even = tile[i] << 16, odd = tile[i] & 0xffff0000U;
                __builtin_memcpy(out + 2 * i * kPageTokens + p, &even, sizeof(Words));
                __builtin_memcpy(out + (2 * i + 1) * kPageTokens + p, &odd, sizeof(Words));
            }
        }
    }

    // 4 * Width codes of every row: a word holds four neighbours, the first in its lowest byte.
    template <int Width, class Words>
    static void quads(const std::uint8_t* rows, std::int64_t stride, int count, float* out) {
        using Vector = Fp8Lanes<std::conditional_t<Width == 16, Lanes16, Lanes4>>;
        for (int p = 0; p < count; p += Width) {
            Words tile[Width];
            square<Width>(rows, stride, p, count, tile);
#pragma GCC unroll 16
            for (int i = 0; i < Width; ++i) {
#pragma GCC unroll 4
                for (int j = 0; j < 4; ++j) {
                    const Words codes = tile[i] >> (8 * j);
                    const auto values = Vector::values(reinterpret_cast<typename Vector::Ints>(codes));
                    __builtin_memcpy(out + (4 * i + j) * kPageTokens + p, &values, sizeof(values));
                }
            }
        }
    }
};

}  // namespace sluice::kernels::cpu
