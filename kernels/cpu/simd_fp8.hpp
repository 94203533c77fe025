// Sixteen e4m3 codes to float32 lanes and back, in GCC's vectors. The rules of simd.hpp hold.
#pragma once

#include "kernels/cpu/simd.hpp"

#include <cstdint>

namespace sluice::kernels::cpu {

// A register's lanes as codes, integers and floats.
struct Lanes4 {
    using Codes = std::uint8_t __attribute__((vector_size(4)));
    using Ints = std::int32_t __attribute__((vector_size(16)));
    using Floats = float __attribute__((vector_size(16)));
};
struct Lanes8 {
    using Codes = std::uint8_t __attribute__((vector_size(8)));
    using Ints = std::int32_t __attribute__((vector_size(32)));
    using Floats = float __attribute__((vector_size(32)));
};
struct Lanes16 {
    using Codes = std::uint8_t __attribute__((vector_size(16)));
    using Ints = std::int32_t __attribute__((vector_size(64)));
    using Floats = float __attribute__((vector_size(64)));
};

template <class Lanes>
struct Fp8Lanes : Lanes {
    using typename Lanes::Floats, typename Lanes::Ints;

    // Of codes in the low bytes. A float's exponent is 120 more than its code's; codes below 8 are
    // subnormals, which count 2^-9. Nothing here is a subnormal float: some processors are slow to take one.
    SLUICE_SIMD Floats values(Ints codes) {
        const Ints size = codes & 0x7f;
        const Ints normal = (size << 20) + (120 << 23), nan = Ints{} + 0x7fc00000;
        const auto small = reinterpret_cast<Ints>(__builtin_convertvector(size, Floats) * 0x1p-9F);
        const Ints bits = size < 8 ? small : size == 0x7f ? nan : normal;
        return reinterpret_cast<Floats>(bits | (codes & 0x80) << 24);
    }

    // As to_fp8() of core/dtype.hpp, whose way it takes.
    SLUICE_SIMD Ints codes(Floats values) {
        const auto bits = reinterpret_cast<Ints>(values);
        const Ints size = bits & 0x7fffffff, nan = Ints{} + 0x7f;
        const Ints most = Ints{} + 0x43e00000, least = Ints{} + 0x3c800000;  // 448 and 2^-6
        const Ints finite = size < most ? size : most;
        const Ints power = (finite > least ? finite : least) & 0x7f800000;
        const Ints apart = power + (20 << 23);
        const Floats sum = reinterpret_cast<Floats>(finite) + reinterpret_cast<Floats>(apart);
        const Ints code = ((power - least) >> 20) + (reinterpret_cast<Ints>(sum) - apart);
        return (size > 0x7f800000 ? nan : code) | (bits >> 24 & 0x80);
    }
};

template <class Isa>
struct LanesOf {
    using Type = Lanes4;
};
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
template <>
struct LanesOf<Avx2> {
    using Type = Lanes8;
};
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
template <>
struct LanesOf<Avx512> {
    using Type = Lanes16;
};
#endif

template <class Isa>
struct Fp8 {
    using F32 = typename Isa::F32;

    SLUICE_SIMD F32 load(const std::uint8_t* p) {
        F32 lanes;
        for (int i = 0; i < 16; i += kLanes) {
            typename Vector::Codes codes;
            __builtin_memcpy(&codes, p + i, sizeof(codes));
            const auto values = Vector::values(__builtin_convertvector(codes, typename Vector::Ints));
            __builtin_memcpy(reinterpret_cast<char*>(&lanes) + 4 * i, &values, sizeof(values));
        }
        return lanes;
    }
    SLUICE_SIMD F32 load_some(const std::uint8_t* p, int n) {
        std::uint8_t codes[16] = {};
        __builtin_memcpy(codes, p, static_cast<unsigned>(n));
        return load(codes);
    }
    SLUICE_SIMD void store(std::uint8_t* p, F32 lanes) {
        for (int i = 0; i < 16; i += kLanes) {
            typename Vector::Floats values;
            __builtin_memcpy(&values, reinterpret_cast<const char*>(&lanes) + 4 * i, sizeof(values));
            const auto codes = __builtin_convertvector(Vector::codes(values), typename Vector::Codes);
            __builtin_memcpy(p + i, &codes, sizeof(codes));
        }
    }
    SLUICE_SIMD void store_some(std::uint8_t* p, F32 lanes, int n) {
        std::uint8_t codes[16];
        store(codes, lanes);
        __builtin_memcpy(p, codes, static_cast<unsigned>(n));
    }

private:
    using Vector = Fp8Lanes<typename LanesOf<Isa>::Type>;
    static constexpr int kLanes = sizeof(typename Vector::Codes);
};

}  // namespace sluice::kernels::cpu
