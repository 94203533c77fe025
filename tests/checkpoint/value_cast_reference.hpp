// Matrices in any form, and their casts by the formulas written down plainly.
#pragma once

#include "checkpoint/value_cast.hpp"

#include <cstring>
#include <vector>

namespace sluice::test {

using Bytes = std::vector<std::byte>;

struct Matrix {
    std::int64_t rows = 0, cols = 0;
    ValueForm form;
    Bytes values;
    std::vector<float> scales;

    std::size_t index(std::int64_t row, std::int64_t col) const {
        return static_cast<std::size_t>(row * cols + col);
    }
    float& scale(std::int64_t row, std::int64_t col) {
        const std::int64_t block_row = row / form.block.rows;
        const std::int64_t block_col = col / form.block.cols;
        return scales[static_cast<std::size_t>(block_row * blocks(cols, form.block.cols) + block_col)];
    }
};

// Zeros, under scales of zero.
Matrix empty_matrix(std::int64_t rows, std::int64_t cols, const ValueForm& form);

// Finite values and random scales. wild: values of any magnitude, zeros of both signs and subnormals among
// those that weights have.
Matrix random_matrix(std::int64_t rows, std::int64_t cols, const ValueForm& form, unsigned seed, bool wild);

template <class T>
T element(const Matrix& matrix, std::int64_t row, std::int64_t col) {
    T value;
    std::memcpy(&value, matrix.values.data() + matrix.index(row, col) * sizeof value, sizeof value);
    return value;
}

template <class T>
void set(Matrix& matrix, std::int64_t row, std::int64_t col, T value) {
    std::memcpy(matrix.values.data() + matrix.index(row, col) * sizeof value, &value, sizeof value);
}

// What a code of e4m3 stands for.
double value_of_code(int code);

struct CastMatrix {
    Matrix matrix;
    QuantizationError error;
};

CastMatrix expected_cast(Matrix& from, const ValueForm& form);

}  // namespace sluice::test
