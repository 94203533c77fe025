// CUDA's vector types, aligned as there.
#pragma once

#define SLUICE_VECTORS(type, element)                                      \
    struct alignas(2 * sizeof(element)) type##2 {                          \
        element x, y;                                                      \
    };                                                                     \
    struct alignas(4 * sizeof(element)) type##4 {                          \
        element x, y, z, w;                                                \
    };                                                                     \
    inline type##2 make_##type##2(element x, element y) { return {x, y}; } \
    inline type##4 make_##type##4(element x, element y, element z, element w) { return {x, y, z, w}; }

SLUICE_VECTORS(float, float)
SLUICE_VECTORS(int, int)
SLUICE_VECTORS(uint, unsigned)

#undef SLUICE_VECTORS
