#include "cuda/emulation/mma.hpp"

#include "core/dtype.hpp"

#include <bit>
#include <cstring>

namespace sluice::emulation {
namespace {

constexpr unsigned kAllLanes = 0xffffffffU;

struct Product {
    float* c;
    const std::uint32_t *a, *b;
};

struct Load {
    std::uint32_t* matrices;
    const void* row;
    bool transposed;
};

// Half `h` of a register: 0 is the lower one.
float half(std::uint32_t pair, int h) { return to_float(static_cast<bf16>(pair >> (16 * h))); }

void multiply(const Lanes& lanes) {
    float a[16][16], b[16][8];
    for (int lane = 0; lane < 32; ++lane) {
        const auto& mine = *static_cast<const Product*>(lanes[static_cast<std::size_t>(lane)]);
        const int g = lane / 4, t = lane % 4;
        for (int h = 0; h < 2; ++h) {
            for (int i = 0; i < 4; ++i) a[g + 8 * (i % 2)][2 * t + h + 8 * (i / 2)] = half(mine.a[i], h);
            for (int i = 0; i < 2; ++i) b[2 * t + h + 8 * i][g] = half(mine.b[i], h);
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        const auto& mine = *static_cast<const Product*>(lanes[static_cast<std::size_t>(lane)]);
        for (int i = 0; i < 4; ++i) {
            const int row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
            double sum = mine.c[i];
            for (int k = 0; k < 16; ++k) sum += static_cast<double>(a[row][k]) * b[k][column];
            mine.c[i] = static_cast<float>(sum);
        }
    }
}

void load(const Lanes& lanes) {
    for (std::size_t lane = 0; lane < 32; ++lane) {
        const auto& mine = *static_cast<const Load*>(lanes[lane]);
        const auto element = [&](std::size_t matrix, std::size_t row, std::size_t column) {
            std::uint16_t value = 0;
            const void* at = static_cast<const Load*>(lanes[8 * matrix + row])->row;
            std::memcpy(&value, static_cast<const std::byte*>(at) + 2 * column, sizeof value);
            return static_cast<std::uint32_t>(value);
        };
        const std::size_t g = lane / 4, t = lane % 4;
        for (std::size_t m = 0; m < 4; ++m) {
            mine.matrices[m] = mine.transposed ? element(m, 2 * t, g) | element(m, 2 * t + 1, g) << 16
                                               : element(m, g, 2 * t) | element(m, g, 2 * t + 1) << 16;
        }
    }
}

}  // namespace

void mma_bf16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    Product mine{c, a, b};
    meet("mma", kAllLanes, &mine, &multiply);
}

void load_matrices(std::uint32_t (&matrices)[4], const void* row, bool transposed) {
    expect_aligned(row, 16);
    Load mine{matrices, row, transposed};
    meet("ldmatrix", kAllLanes, &mine, &load);
}

}  // namespace sluice::emulation
