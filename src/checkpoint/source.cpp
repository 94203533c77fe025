#include "checkpoint/source.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace sluice {
namespace {

Range common_part(const Range& a, const Range& b) {
    return {std::max(a.begin, b.begin), std::max(std::min(a.end, b.end), std::max(a.begin, b.begin))};
}

struct Elements {
    const std::byte* from = nullptr;
    std::int64_t rows = 0, cols = 0, row_stride = 0, col_stride = 0;
    std::byte* to = nullptr;
    std::int64_t to_stride = 0;
};

// In squares, so that a transposed matrix is read and written by whole cache lines.
template <std::size_t size>
void copy_elements(const Elements& e) {
    constexpr std::int64_t kSquare = 64;
    for (std::int64_t r0 = 0; r0 < e.rows; r0 += kSquare) {
        const std::int64_t r1 = std::min(e.rows, r0 + kSquare);
        for (std::int64_t c0 = 0; c0 < e.cols; c0 += kSquare) {
            const std::int64_t c1 = std::min(e.cols, c0 + kSquare);
            for (std::int64_t r = r0; r < r1; ++r) {
                const std::byte* from = e.from + (r * e.row_stride + c0 * e.col_stride) * std::int64_t{size};
                std::byte* to = e.to + (r * e.to_stride + c0) * std::int64_t{size};
                for (std::int64_t c = c0; c < c1; ++c, to += size, from += e.col_stride * std::int64_t{size})
                    std::memcpy(to, from, size);
            }
        }
    }
}

void copy_rows(const Elements& e, std::size_t size) {
    for (std::int64_t r = 0; r < e.rows; ++r) {
        std::memcpy(e.to + static_cast<std::size_t>(r * e.to_stride) * size,
                    e.from + static_cast<std::size_t>(r * e.row_stride) * size,
                    static_cast<std::size_t>(e.cols) * size);
    }
}

}  // namespace

void SourceTensor::copy(const Range& rows, const Range& cols, std::byte* out) const {
    const std::size_t size = size_of(dtype);
    for (const SourcePiece& piece : pieces) {
        const Range r = common_part(rows, piece.rows);
        const Range c = common_part(cols, piece.cols);
        if (r.size() == 0 || c.size() == 0) continue;
        const std::int64_t from =
            (r.begin - piece.rows.begin) * piece.row_stride + (c.begin - piece.cols.begin) * piece.col_stride;
        const std::int64_t to = (r.begin - rows.begin) * cols.size() + c.begin - cols.begin;
        const Elements elements{piece.values + static_cast<std::size_t>(from) * size,
                                r.size(),
                                c.size(),
                                piece.row_stride,
                                piece.col_stride,
                                out + static_cast<std::size_t>(to) * size,
                                cols.size()};
        if (piece.col_stride == 1) {
            copy_rows(elements, size);
        } else if (size == 1) {
            copy_elements<1>(elements);
        } else if (size == 2) {
            copy_elements<2>(elements);
        } else {
            copy_elements<4>(elements);
        }
    }
}

std::vector<float> SourceTensor::as_floats() const {
    expect(dtype == DType::F32 || dtype == DType::BF16, "{} values as float32", name_of(dtype));
    std::vector<std::byte> raw(static_cast<std::size_t>(shape.elements()) * size_of(dtype));
    copy({0, shape[0]}, {0, cols()}, raw.data());
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

std::filesystem::path full_path(const std::filesystem::path& folder) {
    const std::filesystem::path whole = std::filesystem::absolute(folder).lexically_normal();
    return whole.has_filename() ? whole : whole.parent_path();
}

void check_scales(const std::vector<float>& scales, const std::string& where) {
    for (const float scale : scales) {
        require(std::isfinite(scale) && scale >= 0, ExitCode::Checkpoint,
                "{}: a block scale is {}; expected finite, non-negative scales", where, scale);
    }
}

std::unique_ptr<CheckpointSource> open_source(const std::filesystem::path& folder) {
    return is_grok_release(folder) ? open_grok_release(folder) : open_hugging_face(folder);
}

}  // namespace sluice
