#include "text/line_reader.hpp"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} << 10;
constexpr int kReads = 64;  // of a call of ready()

}  // namespace

LineReader::LineReader(std::unique_ptr<ByteStream> bytes, std::size_t max_bytes)
    : bytes_(std::move(bytes)), max_bytes_(max_bytes), buffer_(kBufferBytes) {}

LineReader::LineReader(int fd, std::string name, std::size_t max_bytes)
    : LineReader(bytes_of(fd, std::move(name)), max_bytes) {}

std::optional<LineReader::Line> LineReader::next() {
    begin_line();
    while (newline() == std::string_view::npos)
        if (!read_on()) return length_ == 0 ? std::nullopt : std::optional(line(kept_, false));
    const std::string_view part = unread().substr(0, newline());
    begin_ += part.size() + 1;
    if (length_ > 0) {
        keep(part);
        return line(kept_, true);
    }
    length_ = part.size();
    return line(part, true);
}

bool LineReader::ready(int milliseconds) {
    begin_line();
    bool found = ended_ || newline() != std::string_view::npos;
    for (int reads = 0; reads < kReads && !found; ++reads, milliseconds = 0) {
        if (!bytes_->ready(milliseconds)) return false;
        found = !read_on() || newline() != std::string_view::npos;
    }
    return found;
}

// The line that was given out last is no longer needed.
void LineReader::begin_line() {
    if (!given_) return;
    given_ = false;
    kept_.clear();
    offset_ += static_cast<std::int64_t>(length_) + ending_;
    length_ = 0;
}

// Keeps the part of a line that was read, and reads what follows; false at the end.
bool LineReader::read_on() {
    keep(unread());
    begin_ = end_ = 0;
    if (ended_) return false;
    end_ = bytes_->read(buffer_);
    ended_ = end_ == 0;
    return !ended_;
}

// One byte more than the limit is kept: it may turn out to be the "\r" of a line end.
void LineReader::keep(std::string_view part) {
    kept_ += part.substr(0, max_bytes_ + 1 - std::min(kept_.size(), max_bytes_ + 1));
    length_ += part.size();
}

LineReader::Line LineReader::line(std::string_view text, bool whole) {
    const bool carriage_return = text.size() == length_ && text.ends_with('\r');
    if (carriage_return) {
        text.remove_suffix(1);
        --length_;
    }
    ending_ = (whole ? 1 : 0) + (carriage_return ? 1 : 0);
    given_ = true;
    return {text.substr(0, max_bytes_), ++number_, offset_, length_ > max_bytes_, whole};
}

}  // namespace sluice
