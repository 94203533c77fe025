#include "text/line_reader.hpp"

#include "core/error.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} << 10;

}  // namespace

LineReader::LineReader(int fd, std::string name, std::size_t max_bytes)
    : fd_(fd), name_(std::move(name)), max_bytes_(max_bytes), buffer_(kBufferBytes) {}

std::optional<LineReader::Line> LineReader::next() {
    kept_.clear();
    const std::int64_t begin = offset_;
    std::size_t length = 0;
    while (begin_ < end_ || fill()) {
        const std::string_view unread(buffer_.data() + begin_, end_ - begin_);
        const std::size_t newline = unread.find('\n');
        const bool whole = newline != std::string_view::npos;
        const std::string_view part = unread.substr(0, newline);
        const std::size_t taken = part.size() + (whole ? 1 : 0);
        begin_ += taken;
        offset_ += static_cast<std::int64_t>(taken);
        const bool first = length == 0;
        length += part.size();
        if (whole && first) return line(part, begin, length, true);
        keep(part);
        if (whole) return line(kept_, begin, length, true);
    }
    if (length == 0) return std::nullopt;
    return line(kept_, begin, length, false);
}

bool LineReader::ready(int milliseconds) const {
    if (begin_ < end_) return true;
    pollfd input{fd_, POLLIN, 0};
    return ::poll(&input, 1, milliseconds) != 0 && input.revents != 0;
}

bool LineReader::fill() {
    ssize_t count = 0;
    do {
        count = ::read(fd_, buffer_.data(), buffer_.size());
    } while (count < 0 && errno == EINTR);
    require(count >= 0, ExitCode::File, "cannot read {}: {}", name_, std::strerror(errno));
    begin_ = 0;
    end_ = static_cast<std::size_t>(count);
    return count > 0;
}

// One byte more than the limit is kept: it may turn out to be the "\r" of a line end.
void LineReader::keep(std::string_view part) {
    kept_ += part.substr(0, max_bytes_ + 1 - std::min(kept_.size(), max_bytes_ + 1));
}

LineReader::Line LineReader::line(std::string_view text, std::int64_t begin, std::size_t length, bool whole) {
    if (text.size() == length && text.ends_with('\r')) {
        text.remove_suffix(1);
        --length;
    }
    return {text.substr(0, max_bytes_), ++number_, begin, length > max_bytes_, whole};
}

}  // namespace sluice
