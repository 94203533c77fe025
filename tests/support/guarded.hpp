// Arrays with guard bands: what a kernel writes outside its output is found.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace sluice::test {

// A [rows, width] output with `stride` elements from row to row, on a background of one NaN pattern before,
// between and after the rows. T is trivially copyable.
template <class T>
class Guarded {
public:
    Guarded(std::int64_t rows, std::int64_t width, std::int64_t stride)
        : rows_(rows), width_(width), stride_(stride), memory_(2 * kBand + size_t_of(rows * stride)) {
        std::memset(memory_.data(), kByte, memory_.size() * sizeof(T));
    }
    Guarded(std::int64_t rows, std::int64_t width) : Guarded(rows, width, width) {}

    T* data() { return memory_.data() + kBand; }
    T at(std::int64_t row, std::int64_t column) const {
        return memory_[kBand + size_t_of(row * stride_ + column)];
    }

    // Fails the test if anything outside the rows changed.
    void expect_untouched_around() const {
        for (std::size_t i = 0; i < memory_.size(); ++i) {
            const std::int64_t at = static_cast<std::int64_t>(i) - static_cast<std::int64_t>(kBand);
            const bool inside = at >= 0 && at < rows_ * stride_ && at % stride_ < width_;
            if (inside) continue;
            ASSERT_TRUE(is_background(memory_[i])) << "element " << at << " outside the output was written";
        }
    }

private:
    static constexpr std::size_t kBand = 64;
    static constexpr unsigned char kByte = 0xff;  // NaN in every float format
    static std::size_t size_t_of(std::int64_t n) { return static_cast<std::size_t>(n); }
    static bool is_background(const T& value) {
        unsigned char bytes[sizeof(T)];
        std::memcpy(bytes, &value, sizeof(T));
        for (const unsigned char byte : bytes) {
            if (byte != kByte) return false;
        }
        return true;
    }

    std::int64_t rows_, width_, stride_;
    std::vector<T> memory_;
};

}  // namespace sluice::test
