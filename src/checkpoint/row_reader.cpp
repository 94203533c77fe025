#include "checkpoint/checksum.hpp"
#include "checkpoint/source.hpp"
#include "core/error.hpp"

#include <algorithm>

namespace sluice {

class RowReader::Impl {
public:
    explicit Impl(const SourceTensor& tensor) : tensor_(tensor), sums_(tensor.pieces.size()) {
        for (const SourcePiece& piece : tensor.pieces)
            if (const std::int64_t span = elements_spanned(piece); span > 0)
                piece.file->will_read(piece.offset,
                                      static_cast<std::uint64_t>(span) * size_of(tensor.form.dtype));
    }

    void read(std::int64_t rows, std::byte* out) {
        const Range range{next_, next_ + rows};
        expect(rows >= 0 && range.end <= tensor_.rows(), "{}: rows {} to {}", tensor_.where, range.begin,
               range.end);
        tensor_.read(range, out);
        for (std::size_t i = 0; i < sums_.size(); ++i)
            if (!tensor_.pieces[i].checksum.empty()) add(i, range, out);
        next_ = range.end;
        if (next_ == tensor_.rows()) compare();
    }

private:
    // From its first element in the file to its last.
    static std::int64_t elements_spanned(const SourcePiece& piece) {
        if (piece.rows.size() == 0 || piece.cols.size() == 0) return 0;
        return (piece.rows.size() - 1) * piece.row_stride + (piece.cols.size() - 1) * piece.col_stride + 1;
    }

    void add(std::size_t index, const Range& rows, const std::byte* out) {
        const SourcePiece& piece = tensor_.pieces[index];
        const std::size_t size = size_of(tensor_.form.dtype);
        const auto bytes = [&](std::int64_t elements) { return static_cast<std::size_t>(elements) * size; };
        const Range own = common_part(rows, piece.rows);
        const std::int64_t width = piece.cols.size();
        const bool dense = width == tensor_.cols();  // rows follow each other in `out`, too
        const std::int64_t run = dense ? std::max<std::int64_t>(own.size(), 1) : 1;
        for (std::int64_t row = own.begin; row < own.end; row += run) {
            const std::byte* from = out + bytes((row - rows.begin) * tensor_.cols() + piece.cols.begin);
            sums_[index].add({from, bytes(run * width)});
        }
    }

    void compare() const {
        for (std::size_t i = 0; i < sums_.size(); ++i) {
            const SourcePiece& piece = tensor_.pieces[i];
            if (piece.checksum.empty()) continue;
            const std::string found = checksum_text(sums_[i].value());
            require(found == piece.checksum, ExitCode::Checkpoint,
                    "{}: {} is altered: its checksum is {}, but {} was written; restore the file or shard "
                    "again",
                    piece.file->path().string(), tensor_.where, found, piece.checksum);
        }
    }

    const SourceTensor& tensor_;
    std::vector<Checksum> sums_;
    std::int64_t next_ = 0;
};

std::int64_t rows_per_read(const Shape& shape, DType dtype, std::int64_t step) {
    constexpr std::uint64_t kBytes = 4 << 20;
    const std::uint64_t row_bytes = static_cast<std::uint64_t>(shape.row_elements()) * size_of(dtype);
    const auto rows = static_cast<std::int64_t>(kBytes / std::max<std::uint64_t>(row_bytes, 1));
    return std::min(shape[0], std::max(rows / step, std::int64_t{1}) * step);
}

RowReader::RowReader(const SourceTensor& tensor) : impl_(std::make_unique<Impl>(tensor)) {}
RowReader::RowReader(RowReader&&) noexcept = default;
RowReader::~RowReader() = default;

void RowReader::read(std::int64_t rows, std::byte* out) { impl_->read(rows, out); }

}  // namespace sluice
