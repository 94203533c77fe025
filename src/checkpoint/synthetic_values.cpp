#include "checkpoint/synthetic_values.hpp"

#include "core/error.hpp"
#include "core/random.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

namespace sluice {
namespace {

constexpr std::size_t kBatch = 4096;  // draws at a time: small enough to stay in the nearest cache

using Draws = std::array<std::int16_t, kBatch>;

// Four draws of 16 bits from each hash of a counter.
void draw(std::uint64_t key, std::uint64_t first, Draws& draws) {
    for (std::size_t i = 0; i < kBatch; i += kPieceAlignment) {
        const std::uint64_t bits = mix64(key + (first + i) / kPieceAlignment);
        std::memcpy(draws.data() + i, &bits, sizeof bits);
    }
}

// In (-1, 1), symmetric.
float unit(std::int16_t draw) { return (static_cast<float>(draw) + 0.5F) * 0x1p-15F; }

// Draws are few enough to look their codes up.
const std::array<fp8, 65536>& fp8_codes() {
    static const auto codes = [] {
        std::array<fp8, 65536> table{};
        for (int i = 0; i < 65536; ++i) {
            const auto draw = static_cast<std::int16_t>(i);
            table[static_cast<std::uint16_t>(draw)] = to_fp8(448 * unit(draw));
        }
        return table;
    }();
    return codes;
}

template <class T, class Convert>
void fill(std::uint64_t key, std::uint64_t first, std::span<std::byte> out, const Convert& convert) {
    Draws draws;
    std::array<T, kBatch> values;
    const std::size_t count = out.size() / sizeof(T);
    for (std::size_t at = 0; at < count; at += kBatch) {
        const std::size_t now = std::min(kBatch, count - at);
        draw(key, first + at, draws);
        for (std::size_t i = 0; i < now; ++i) values[i] = convert(draws[i]);
        std::memcpy(out.data() + at * sizeof(T), values.data(), now * sizeof(T));
    }
}

}  // namespace

std::uint64_t value_key(std::uint64_t seed, std::string_view tensor) {
    std::uint64_t hash = mix64(seed);
    for (const char c : tensor) hash = mix64(hash ^ static_cast<unsigned char>(c));
    return hash;
}

void make_values(std::uint64_t key, const Distribution& distribution, DType dtype, std::uint64_t first,
                 std::span<std::byte> out) {
    expect(first % kPieceAlignment == 0 && out.size() % size_of(dtype) == 0, "a piece from element {} on",
           first);
    const auto [base, spread, powers_of_two] = distribution;
    if (dtype == DType::F8E4M3) {
        const auto& codes = fp8_codes();
        fill<fp8>(key, first, out,
                  [&](std::int16_t draw) { return codes[static_cast<std::uint16_t>(draw)]; });
    } else if (dtype == DType::BF16) {
        fill<bf16>(key, first, out, [base = base, spread = spread](std::int16_t draw) {
            return to_bf16(base + spread * unit(draw));
        });
    } else if (powers_of_two) {
        // Up from the root of a half: to the nearest on a logarithmic scale.
        fill<float>(key, first, out, [base = base, spread = spread](std::int16_t draw) {
            return round_up_to_power_of_two((base + spread * unit(draw)) * 0.70710678F);
        });
    } else {
        expect(dtype == DType::F32, "random values of {}", name_of(dtype));
        fill<float>(key, first, out,
                    [base = base, spread = spread](std::int16_t draw) { return base + spread * unit(draw); });
    }
}

}  // namespace sluice
