// Random weights, made piece by piece.
#pragma once

#include "core/dtype.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice {

// Uniform values in (base - spread, base + spread).
struct Distribution {
    float base = 0, spread = 1;
    bool powers_of_two = false;  // each rounded to the nearest one
};

// Pieces are made from such a multiple of elements on.
inline constexpr std::uint64_t kPieceAlignment = 4;

// What the values of a tensor start from. They depend on it and on their index alone.
std::uint64_t value_key(std::uint64_t seed, std::string_view tensor);

// Elements `first`, `first` + 1, ... of F32, BF16 or F8E4M3 to fill `out`. Values of F8E4M3 know no
// distribution: they fill the codes' whole range, (-448, 448), and block scales do the rest.
void make_values(std::uint64_t key, const Distribution& distribution, DType dtype, std::uint64_t first,
                 std::span<std::byte> out);

}  // namespace sluice
