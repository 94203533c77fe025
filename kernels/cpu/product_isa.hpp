// What each instruction set gives the product: how it converts a row of activations, and how it multiplies a
// tile. Plain data; the per-set files include this header.
#pragma once

#include "core/features.hpp"
#include "kernels/cpu/layout.hpp"

#include <cstddef>
#include <cstdint>

namespace sluice::kernels::cpu {

enum class RowForm : std::uint8_t { Bf16, Fp8, F32 };  // how activations are rounded

struct RowTask {
    const Segment* segment = nullptr;
    RowForm form = RowForm::Bf16;
    bool power_of_two_scales = false;
    const float* x = nullptr;       // the row's first column of this segment
    const float* next_x = nullptr;  // likewise of the row after it, for prefetching
    void* out = nullptr;            // [pairs][2], zeros in the padding
    float* scales = nullptr;        // [blocks], written for Fp8
};

// out[r, c] for `rows` converted rows and panels [first_panel, first_panel + panels): of one segment, of a
// sum over several, or of outputs gated by others.
struct TileTask {
    const Segment* segment = nullptr;  // the first
    int segments = 1;                  // whose products are added
    std::int64_t gated_panels = 0;     // how far behind the gate's panels are those it gates; 0: no gate
    Activation activation = Activation::Silu;
    Format format = Format::Bf16;
    std::int64_t first_panel = 0;
    std::int64_t panels = 0;
    std::int64_t columns = 0;         // of the weight, unpadded
    const void* x = nullptr;          // converted rows, all segments of them
    std::int64_t x_stride = 0;        // elements
    const float* x_scales = nullptr;  // [rows][x_scale_stride] or null
    std::int64_t x_scale_stride = 0;
    std::int64_t rows = 0;
    float* out = nullptr;  // row 0, column 0 of the segment's output
    std::int64_t out_stride = 0;
    void* scratch = nullptr;  // kTotalsAt + slots * kTotals floats
    // Panels that the next tile begins with, for prefetching.
    const Segment* after = nullptr;
    std::int64_t after_panel = 0, after_panels = 0;
};

struct ProductIsa {
    std::int64_t x_bytes;  // of a converted element: 2 (bfloat16) or 4 (float32)
    void (*convert)(const RowTask&);
    void (*multiply)(const TileTask&);
    // out[i] = activation(x[i]) * x[width + i]
    void (*gate)(Activation kind, const float* x, std::int64_t width, float* out);
};

inline constexpr std::int64_t kTilePanels = 8;  // at most in a tile task
inline constexpr std::int64_t kTileRows = 128;
inline constexpr std::int64_t kChunkPairs = 256;  // of k at most, where they are decoded to memory

// A tile's scratch, in floats: the sums of a block of many chunks, [kTileRows][kGroup * 16]; from
// kDecodedAt on, a chunk decoded to bfloat16 or float32; from kTotalsAt on, slots of totals [kTileRows]
// [kGroup * 16]: one, two where outputs are gated, and for a sum of segments as many as its tree is
// deep.
inline constexpr std::int64_t kBlockSumsAt = 0;
inline constexpr std::int64_t kDecodedAt = kTileRows * kGroup * kPanel;
inline constexpr std::int64_t kTotalsAt = kDecodedAt + kGroup * kChunkPairs * pair_bytes(Format::F32) / 4;
inline constexpr std::int64_t kTotals = kTileRows * kGroup * kPanel;

extern const ProductIsa kProductGeneric;
#if defined(__x86_64__)
extern const ProductIsa kProductAvx2;
extern const ProductIsa kProductAvx512;
extern const ProductIsa kProductAvx512Bf16;
#endif

}  // namespace sluice::kernels::cpu
