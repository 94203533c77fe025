#include "kernels/product_fixture.hpp"

#include "kernels/random.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace sluice::test {

float noise(std::uint64_t stream, std::uint64_t i) {
    return static_cast<float>(uniform(mix64(stream), i) * 2 - 1);
}

const std::vector<Kind>& all_kinds() {
    using enum DType;
    static const std::vector<Kind> kinds = {
        {"bf16", BF16, 0, 0, 0, 0, false, Products::Bf16, false, false},
        {"bf16 from float32", F32, 0, 0, 0, 0, false, Products::Bf16, false, false},
        {"bf16 transposed", BF16, 0, 0, 0, 0, true, Products::Bf16, false, false},
        {"bf16 weight, float32 products", BF16, 0, 0, 0, 0, false, Products::F32, false, false},
        {"float32 weight, float32 products", F32, 0, 0, 0, 0, false, Products::F32, false, false},
        {"fp8 codes without scales", F8E4M3, 0, 0, 0, 0, false, Products::Bf16, false, false},
        {"fp8, bf16 activations", F8E4M3, 128, 128, 0, 0, false, Products::Bf16, false, false},
        {"fp8, bf16 activations, offsets", F8E4M3, 128, 128, 5, 37, false, Products::Bf16, false, false},
        {"fp8, fp8 activations", F8E4M3, 128, 128, 0, 0, false, Products::Fp8, false, false},
        {"fp8, fp8 activations, ue8m0, offsets", F8E4M3, 128, 128, 100, 64, false, Products::Fp8, false,
         true},
        {"fp8 transposed, small odd blocks", F8E4M3, 24, 31, 7, 3, true, Products::Fp8, false, false},
        {"fp8 dequantised", F8E4M3, 128, 128, 5, 37, false, Products::Bf16, true, false},
        {"fp8, float32 products", F8E4M3, 128, 128, 5, 37, false, Products::F32, false, false},
        {"bf16 asked for fp8 activations", BF16, 0, 0, 0, 0, false, Products::Fp8, false, false},
        {"int8, one block", I8, 1, 2000, 0, 0, false, Products::Bf16, false, false},
        {"int8, blocks of k, offsets", I8, 1, 400, 5, 137, false, Products::Bf16, false, false},
        {"int8 transposed, blocks along both axes", I8, 24, 131, 7, 3, true, Products::Bf16, false, false},
        {"int8 asked for fp8 activations", I8, 1, 400, 0, 137, false, Products::Fp8, false, true},
        {"int8 codes without scales", I8, 0, 0, 0, 0, false, Products::Bf16, false, false},
        {"int8 dequantised", I8, 1, 400, 5, 137, false, Products::Bf16, true, false},
        {"int8, float32 products", I8, 1, 400, 5, 137, false, Products::F32, false, false},
        {"fp8, blocks of panels, offsets", F8E4M3, 32, 128, 16, 37, false, Products::Bf16, false, false},
        {"int8, blocks of panels", I8, 48, 200, 0, 0, false, Products::Bf16, false, false},
        {"fp8 transposed, fp8 activations, wide odd blocks", F8E4M3, 24, 200, 7, 3, true, Products::Fp8,
         false, false},
    };
    return kinds;
}

TestWeight::TestWeight(const Kind& of, std::int64_t rows, std::int64_t cols, std::uint64_t seed)
    : kind(of), n(rows), k(cols) {
    const auto count = static_cast<std::size_t>(stored_rows() * stored_cols());
    values_.resize(count * size_of(kind.dtype));
    for (std::size_t i = 0; i < count; ++i) {
        const float value = noise(seed, i);
        if (kind.dtype == DType::F32) {
            std::memcpy(values_.data() + 4 * i, &value, 4);
        } else if (kind.dtype == DType::BF16) {
            const bf16 bits = to_bf16(value);
            std::memcpy(values_.data() + 2 * i, &bits, 2);
        } else if (kind.dtype == DType::I8) {
            values_[i] = static_cast<std::byte>(static_cast<std::int8_t>(std::floor(value * 128)));
        } else {
            values_[i] = static_cast<std::byte>(to_fp8(value * value * value * 448));
        }
    }
    if (kind.block_rows == 0) return;
    for (std::int64_t i = 0; i < scale_rows() * scale_cols(); ++i)
        scales_.push_back(0.01F * (1.5F + noise(seed + 1, static_cast<std::uint64_t>(i))));
}

std::int64_t TestWeight::stored_index(std::int64_t row, std::int64_t col) const {
    row += kind.row_offset;
    col += kind.col_offset;
    return kind.transposed ? col * stored_rows() + row : row * stored_cols() + col;
}

HostMatrix TestWeight::slice(std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols) const {
    HostMatrix m;
    m.values = values_.data() + stored_index(row, col) * static_cast<std::int64_t>(size_of(kind.dtype));
    m.dtype = kind.dtype;
    m.rows = rows;
    m.cols = cols;
    m.row_stride = kind.transposed ? 1 : stored_cols();
    m.col_stride = kind.transposed ? stored_rows() : 1;
    if (kind.block_rows == 0) return m;
    const std::int64_t first_row = row + kind.row_offset, first_col = col + kind.col_offset;
    m.block_rows = kind.block_rows;
    m.block_cols = kind.block_cols;
    m.row_offset = first_row % kind.block_rows;
    m.col_offset = first_col % kind.block_cols;
    m.scale_row_stride = kind.transposed ? 1 : scale_cols();
    m.scale_col_stride = kind.transposed ? scale_rows() : 1;
    m.scales = scales_.data() + first_row / kind.block_rows * m.scale_row_stride +
               first_col / kind.block_cols * m.scale_col_stride;
    return m;
}

void TestWeight::set_code(std::int64_t row, std::int64_t col, std::uint32_t bits) {
    const auto size = static_cast<std::int64_t>(size_of(kind.dtype));
    std::memcpy(values_.data() + stored_index(row, col) * size, &bits, static_cast<std::size_t>(size));
}

bool TestWeight::quantised() const {
    return kind.block_rows != 0 && !kind.dequantize && kind.products != Products::F32;
}

double TestWeight::scale(std::int64_t row, std::int64_t col) const {
    if (kind.block_rows == 0) return 1;
    const std::int64_t r = (row + kind.row_offset) / kind.block_rows;
    const std::int64_t c = (col + kind.col_offset) / kind.block_cols;
    const std::int64_t block = kind.transposed ? c * scale_rows() + r : r * scale_cols() + c;
    return static_cast<double>(scales_[static_cast<std::size_t>(block)]);
}

double TestWeight::value(std::int64_t row, std::int64_t col) const {
    const auto i = static_cast<std::size_t>(stored_index(row, col));
    float stored = 0;
    if (kind.dtype == DType::F32) std::memcpy(&stored, values_.data() + 4 * i, 4);
    if (kind.dtype == DType::F8E4M3) stored = fp8_to_float(static_cast<fp8>(values_[i]));
    if (kind.dtype == DType::I8) stored = static_cast<std::int8_t>(values_[i]);
    if (kind.dtype == DType::BF16) {
        bf16 bits = 0;
        std::memcpy(&bits, values_.data() + 2 * i, 2);
        stored = to_float(bits);
    }
    if (quantised()) return static_cast<double>(stored) * scale(row, col);
    const float scaled = stored * static_cast<float>(scale(row, col));
    const bool rounded = rounds_weights && kind.products != Products::F32;
    return static_cast<double>(rounded ? to_float(to_bf16(scaled)) : scaled);
}

Packed pack(Family family, const std::vector<WeightPart>& parts, const Kind& kind, int threads) {
    Packed out;
    PackArgs args;
    args.parts = parts;
    args.products = kind.products;
    args.dequantize = kind.dequantize;
    args.power_of_two_scales = kind.power_of_two_scales;
    args.out = &out;
    choose(family, args, this_machine()).run(args, {threads});
    return out;
}

Packed pack_whole(Family family, const TestWeight& weight) {
    return pack(family, {{weight.whole(), 0, 0}}, weight.kind);
}

std::vector<double> seen_activations(const TestWeight& weight, const float* x, std::int64_t begin,
                                     std::int64_t end) {
    std::vector<double> seen(x + begin, x + end);
    const Kind& kind = weight.kind;
    if (!weight.quantised() || kind.dtype != DType::F8E4M3 || kind.products != Products::Fp8) return seen;
    for (std::int64_t from = begin; from < end;) {
        const std::int64_t offset = from + weight.kind.col_offset;
        const std::int64_t to =
            std::min(end, from + weight.kind.block_cols - offset % weight.kind.block_cols);
        float amax = 0;
        for (std::int64_t i = from; i < to; ++i) amax = std::fabs(x[i]) > amax ? std::fabs(x[i]) : amax;
        float scale = amax == 0 ? 1.0F : amax / 448.0F;
        if (weight.kind.power_of_two_scales && std::isfinite(scale))
            scale = std::exp2(std::ceil(std::log2(scale)));
        for (std::int64_t i = from; i < to; ++i)
            seen[static_cast<std::size_t>(i - begin)] =
                static_cast<double>(fp8_to_float(to_fp8(x[i] / scale))) * static_cast<double>(scale);
        from = to;
    }
    return seen;
}

namespace {

// How far tensor cores may be that add 32 products of codes at a time to what they have. All are shifted to
// the largest exponent, and fourteen bits of each are kept, and of what comes out (DeepSeek-V3 Technical
// Report, arXiv:2412.19437, 3.5.2). A subnormal code has the exponent of the least normal one. Stages of 128
// columns, of one k block, are added for themselves.
double few_bits_bound(const TestWeight& weight, const std::vector<double>& x, std::int64_t row,
                      std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t kStage = 128, kAtOnce = 32;
    constexpr double kLost = 0x1p-13, kLeastNormal = 0x1p-6;
    const Kind& kind = weight.kind;
    double all = 0;
    for (std::int64_t block = begin, next = 0; block < end; block = next) {
        next = std::min(end, block + kind.block_cols - (block + kind.col_offset) % kind.block_cols);
        const auto seen = [&](std::int64_t col) {
            return std::fabs(x[static_cast<std::size_t>(col - begin)]);
        };
        // The largest is code 448, or at least 224 where scales are powers of two.
        double x_scale = 0;
        for (std::int64_t col = block; col < next; ++col)
            x_scale = std::max(x_scale, seen(col) / (kind.power_of_two_scales ? 224 : 448));
        for (std::int64_t stage = block; stage < next; stage += kStage) {
            double sum = 0, bound = 0;
            for (std::int64_t first = stage; first < stage + kStage; first += kAtOnce) {
                double largest = std::fabs(sum) + bound;
                int addends = 1;
                for (std::int64_t col = first; col < std::min(first + kAtOnce, next); ++col, ++addends) {
                    const double value = weight.value(row, col);
                    if (seen(col) == 0 || value == 0) continue;
                    sum += x[static_cast<std::size_t>(col - begin)] * value;
                    largest = std::max(largest,
                                       std::max(seen(col), kLeastNormal * x_scale) *
                                           std::max(std::fabs(value), kLeastNormal * weight.scale(row, col)));
                }
                bound += addends * kLost * largest;
                bound += kLost * (std::fabs(sum) + bound);
            }
            all += bound;
        }
    }
    return all;
}

}  // namespace

// A sum of m float32 roundings in a chain errs by at most m u / (1 - m u) times the sum of the magnitudes (u
// = 2^-24: Higham, Accuracy and Stability, 3.1). A term passes k additions, one product rounding where there
// is no fused step, and quantised 2 scale products and one addition a block (blocks are at least 31 wide but
// for the ends: k / 31 + 2 of them); the reference rounds value * scale once, and its result once.
Truth truth_of(const TestWeight& weight, const std::vector<double>& x, std::int64_t row, std::int64_t begin,
               std::int64_t end) {
    Truth truth;
    double magnitude = 0;
    for (std::int64_t col = begin; col < end; ++col) {
        const double term = x[static_cast<std::size_t>(col - begin)] * weight.value(row, col);
        truth.value += term;
        magnitude += std::fabs(term);
    }
    const double roundings = static_cast<double>(end - begin + (end - begin) / 31 + 7) * 0x1p-24;
    truth.bound = roundings / (1 - roundings) * magnitude;
    if (weight.multiplies_codes) truth.bound += few_bits_bound(weight, x, row, begin, end);
    return truth;
}

}  // namespace sluice::test
