#include "checkpoint/source.hpp"

#include "checkpoint/sluice_checkpoint.hpp"
#include "core/error.hpp"

#include <algorithm>
#include <cstring>

namespace sluice {
namespace {

// Where rows of a piece go: the first of them, and the distance between them, in elements of a row's width.
struct Target {
    std::byte* first = nullptr;
    std::int64_t stride = 0;
};

// Rows that follow each other in the file are one read; so are those that go to follow each other in memory.
void read_rows(const SourcePiece& piece, const Range& rows, std::size_t size, const Target& to) {
    const std::int64_t width = piece.cols.size();
    const auto bytes = [&](std::int64_t elements) { return static_cast<std::size_t>(elements) * size; };
    const std::uint64_t from = piece.offset + bytes((rows.begin - piece.rows.begin) * piece.row_stride);
    if (piece.row_stride == width && to.stride == width)
        return piece.file->read(from, {to.first, bytes(rows.size() * width)});
    for (std::int64_t row = 0; row < rows.size(); ++row)
        piece.file->read(from + bytes(row * piece.row_stride),
                         {to.first + bytes(row * to.stride), bytes(width)});
}

template <std::size_t size>
void scatter(const std::byte* columns, std::int64_t rows, std::int64_t cols, const Target& to) {
    for (std::int64_t row = 0; row < rows; ++row) {
        std::byte* out = to.first + static_cast<std::size_t>(row * to.stride) * size;
        const std::byte* in = columns + static_cast<std::size_t>(row) * size;
        for (std::int64_t col = 0; col < cols;
             ++col, out += size, in += static_cast<std::size_t>(rows) * size)
            std::memcpy(out, in, size);
    }
}

// A transposed piece: a column's rows follow each other in the file. Some columns at a time, so that the turn
// stays in the nearest cache.
void read_columns(const SourcePiece& piece, const Range& rows, std::size_t size, const Target& to) {
    constexpr std::int64_t kColumns = 64;
    const auto bytes = [&](std::int64_t elements) { return static_cast<std::size_t>(elements) * size; };
    std::vector<std::byte> columns(bytes(kColumns * rows.size()));
    for (std::int64_t col = 0; col < piece.cols.size(); col += kColumns) {
        const std::int64_t count = std::min(kColumns, piece.cols.size() - col);
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t at = (col + i) * piece.col_stride + rows.begin - piece.rows.begin;
            piece.file->read(piece.offset + bytes(at),
                             {columns.data() + bytes(i * rows.size()), bytes(rows.size())});
        }
        const Target part{to.first + bytes(col), to.stride};
        if (size == 1) scatter<1>(columns.data(), rows.size(), count, part);
        if (size == 2) scatter<2>(columns.data(), rows.size(), count, part);
        if (size == 4) scatter<4>(columns.data(), rows.size(), count, part);
    }
}

void read_piece(const SourceTensor& tensor, const SourcePiece& piece, const Range& rows, std::byte* out) {
    const Range part = common_part(rows, piece.rows);
    if (part.size() == 0 || piece.cols.size() == 0) return;
    const std::size_t size = size_of(tensor.form.dtype);
    const std::int64_t first = (part.begin - rows.begin) * tensor.cols() + piece.cols.begin;
    const Target to{out + static_cast<std::size_t>(first) * size, tensor.cols()};
    piece.col_stride == 1 ? read_rows(piece, part, size, to) : read_columns(piece, part, size, to);
}

}  // namespace

void SourceTensor::read(const Range& rows, std::byte* out) const {
    for (const SourcePiece& piece : pieces) read_piece(*this, piece, rows, out);
}

std::vector<float> SourceTensor::as_floats() const {
    const DType dtype = form.dtype;
    expect(dtype == DType::F32 || dtype == DType::BF16, "{} values as float32", name_of(dtype));
    std::vector<std::byte> raw(static_cast<std::size_t>(shape.elements()) * size_of(dtype));
    read({0, rows()}, raw.data());
    std::vector<float> values(static_cast<std::size_t>(shape.elements()));
    for (std::size_t i = 0; i < values.size(); ++i) {
        bf16 bits = 0;
        if (dtype == DType::F32) {
            std::memcpy(&values[i], raw.data() + 4 * i, 4);
        } else {
            std::memcpy(&bits, raw.data() + 2 * i, 2);
            values[i] = to_float(bits);
        }
    }
    return values;
}

std::unique_ptr<CheckpointSource> open_source(const std::filesystem::path& folder) {
    if (is_sluice_checkpoint(folder)) return open_sluice_source(folder);
    return is_grok_release(folder) ? open_grok_release(folder) : open_hugging_face(folder);
}

}  // namespace sluice
