#include "core/tensor.hpp"

#include "core/error.hpp"

namespace sluice {

Shape::Shape(std::initializer_list<std::int64_t> dims) {
    for (const std::int64_t dim : dims) append(dim);
}

void Shape::append(std::int64_t dim) {
    expect(rank_ < 4, "a shape has at most 4 dimensions");
    dims_[static_cast<std::size_t>(rank_++)] = dim;
}

std::int64_t Shape::elements() const {
    std::int64_t count = 1;
    for (int axis = 0; axis < rank_; ++axis) count *= (*this)[axis];
    return count;
}

std::int64_t Shape::row_elements() const {
    std::int64_t count = 1;
    for (int axis = 1; axis < rank_; ++axis) count *= (*this)[axis];
    return count;
}

std::string Shape::text() const {
    std::string out = "[";
    for (int axis = 0; axis < rank_; ++axis) out += (axis == 0 ? "" : ", ") + std::to_string((*this)[axis]);
    return out + "]";
}

View View::rows(std::int64_t first, std::int64_t count) const {
    expect(shape.rank() == 2 && first >= 0 && count >= 0 && first + count <= shape[0], "rows {}+{} of {}",
           first, count, shape.text());
    View part = *this;
    part.data = static_cast<std::byte*>(data) + static_cast<std::size_t>(first * row_stride) * size_of(dtype);
    part.shape[0] = count;
    return part;
}

View View::columns(std::int64_t first, std::int64_t count) const {
    expect(shape.rank() == 2 && first >= 0 && count >= 0 && first + count <= shape[1], "columns {}+{} of {}",
           first, count, shape.text());
    View part = *this;
    part.data = static_cast<std::byte*>(data) + static_cast<std::size_t>(first) * size_of(dtype);
    part.shape[1] = count;
    return part;
}

View dense_view(void* data, DType dtype, const Shape& shape, Place place) {
    return {data, dtype, place, shape, shape.rank() == 0 ? 1 : shape[shape.rank() - 1]};
}

}  // namespace sluice
