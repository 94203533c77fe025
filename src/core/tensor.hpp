// Views of tensors (borrowed) and tensors (owned), in host memory or on a device.
#pragma once

#include "core/dtype.hpp"

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace sluice {

enum class Place : std::uint8_t { Host, Cuda };

// Up to four dimensions, outermost first.
class Shape {
public:
    Shape() = default;
    Shape(std::initializer_list<std::int64_t> dims);
    int rank() const { return rank_; }
    std::int64_t operator[](int axis) const { return dims_[static_cast<std::size_t>(axis)]; }
    std::int64_t& operator[](int axis) { return dims_[static_cast<std::size_t>(axis)]; }
    std::int64_t elements() const;
    // Of one row, seen as a matrix [shape[0], the rest]; of the rows that there could be, where there are
    // none.
    std::int64_t row_elements() const;
    std::string text() const;  // "[128, 256]"
    void append(std::int64_t dim);
    bool operator==(const Shape&) const = default;

private:
    std::array<std::int64_t, 4> dims_{};
    int rank_ = 0;
};

// Row-major; the innermost axis is dense. Rows of a matrix may be further apart than its width.
struct ConstView {
    const void* data = nullptr;
    DType dtype = DType::F32;
    Place place = Place::Host;
    Shape shape;
    std::int64_t row_stride = 0;  // elements from one row (second to last axis) to the next

    template <class T>
    const T* as() const {
        return static_cast<const T*>(data);
    }
};

struct View {
    void* data = nullptr;
    DType dtype = DType::F32;
    Place place = Place::Host;
    Shape shape;
    std::int64_t row_stride = 0;

    template <class T>
    T* as() const {
        return static_cast<T*>(data);
    }
    operator ConstView() const {
        return {data, dtype, place, shape, row_stride};
    }  // NOLINT: a view is a const view
    // Rows [first, first + count) of a matrix.
    View rows(std::int64_t first, std::int64_t count) const;
    // Columns [first, first + count) of a matrix.
    View columns(std::int64_t first, std::int64_t count) const;
};

// A dense view of `shape` at `data`.
View dense_view(void* data, DType dtype, const Shape& shape, Place place = Place::Host);

}  // namespace sluice
