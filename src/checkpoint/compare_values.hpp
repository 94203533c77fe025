// Whether a tensor is what a cast makes of another, by the definitions alone: nothing here is of the casts.
#pragma once

#include "checkpoint/source.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

// How many elements of a matrix are not as they must be, and the first of them in the order of rows.
struct Difference {
    std::int64_t count = 0;
    std::int64_t row = 0, col = 0;
    float expected = 0, found = 0;

    void add(std::int64_t at_row, std::int64_t at_col, float wanted, float is);
};

// Two tensors of one shape whose rows come in order. In equal forms (type and block) all bytes must be equal.
// Else x, the expected value times its scale in float32, must be
//  - in float32 and bfloat16: x itself, rounded to nearest, ties to even; NaN for NaN;
//  - in fp8 and int8: a code that no other is nearer to under the scale found; and no block that has values
//    may waste its range: its largest code is within 1 % of the type's largest, or at least half of it where
//    scales are powers of two.
class ValueComparison {
public:
    // Both must outlive it.
    ValueComparison(const SourceTensor& found, const SourceTensor& expected,
                    bool power_of_two_scales = false);

    // The next rows, dense.
    void compare(std::int64_t rows, const std::byte* found, const std::byte* expected);

    bool equal_forms() const { return equal_forms_; }
    // Values times scales, of the rows so far.
    const Difference& values() const { return values_; }
    // Of equal forms, where row and col are of the grid of blocks.
    Difference scales() const;
    // The largest and the largest used code of blocks that waste their range, likewise. After the last row.
    Difference wasted_ranges() const;

private:
    struct Used {
        bool any = false;       // of the values expected, one is not 0
        std::uint8_t code = 0;  // largest, without its sign
    };

    void compare_bytes(std::int64_t rows, const std::byte* found, const std::byte* expected);
    void compare_row(std::int64_t row, const std::byte* found, const std::byte* expected);

    const SourceTensor& found_;
    const SourceTensor& expected_;
    bool equal_forms_ = false;
    float least_use_;  // of the largest code, by the largest one used
    std::int64_t next_ = 0;
    std::vector<Used> used_;  // by block, of quantised values in another form than expected
    Difference values_;
};

}  // namespace sluice
