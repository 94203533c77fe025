// Weights, activations and the double-precision truth that the product tests share.
#pragma once

#include "core/dtype.hpp"
#include "kernels/args.hpp"
#include "kernels/kernel.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::test {

using namespace sluice::kernels;

// Uniform in [-1, 1), from a counter: the same on every machine.
float noise(std::uint64_t stream, std::uint64_t i);

// How a weight is stored and multiplied.
struct Kind {
    std::string name;
    DType dtype = DType::BF16;
    std::int64_t block_rows = 0, block_cols = 0;  // 0: no scales
    std::int64_t row_offset = 0, col_offset = 0;  // of the matrix within the stored one
    bool transposed = false;                      // stored [k][n], and so are the scales
    Products products = Products::Bf16;
    bool dequantize = false, power_of_two_scales = false;
};

// Every way the suite packs a weight.
const std::vector<Kind>& all_kinds();

// A weight W[n, k] cut from a larger stored matrix.
class TestWeight {
public:
    TestWeight(const Kind& kind, std::int64_t n, std::int64_t k, std::uint64_t seed);
    HostMatrix slice(std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols) const;
    HostMatrix whole() const { return slice(0, n, 0, k); }
    // As the products must use it: rounded as the kind says, the scale multiplied in double.
    double value(std::int64_t row, std::int64_t col) const;
    double scale(std::int64_t row, std::int64_t col) const;                 // 1 where there are none
    void set_code(std::int64_t row, std::int64_t col, std::uint32_t bits);  // raw bits of the stored dtype
    bool quantised() const;

    Kind kind;
    std::int64_t n, k;
    bool rounds_weights = true;  // to bfloat16, where the kind's products are; the reference does not
    // Codes of both sides are multiplied as they are, by tensor cores that keep few bits of their sums.
    bool multiplies_codes = false;

private:
    std::int64_t stored_index(std::int64_t row, std::int64_t col) const;
    std::int64_t stored_rows() const { return n + kind.row_offset; }
    std::int64_t stored_cols() const { return k + kind.col_offset; }
    std::int64_t scale_rows() const { return (stored_rows() + kind.block_rows - 1) / kind.block_rows; }
    std::int64_t scale_cols() const { return (stored_cols() + kind.block_cols - 1) / kind.block_cols; }

    std::vector<std::byte> values_;
    std::vector<float> scales_;
};

Packed pack(Family family, const std::vector<WeightPart>& parts, const Kind& kind, int threads = 1);
Packed pack_whole(Family family, const TestWeight& weight);

// The activations of one row as the kind's products see them, columns [begin, end) being one segment.
std::vector<double> seen_activations(const TestWeight& weight, const float* x, std::int64_t begin,
                                     std::int64_t end);

struct Truth {
    double value = 0, bound = 0;
};
// Sum over columns [begin, end) and how far a float32 kernel may be from it.
Truth truth_of(const TestWeight& weight, const std::vector<double>& x, std::int64_t row, std::int64_t begin,
               std::int64_t end);

}  // namespace sluice::test
