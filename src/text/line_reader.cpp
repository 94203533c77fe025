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
    for (; !ended_ && newline() == std::string_view::npos; milliseconds = 0) {
        pollfd input{fd_, POLLIN, 0};
        if (::poll(&input, 1, milliseconds) == 0 || input.revents == 0) return false;
        read_on();
    }
    return true;
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
    ssize_t count = 0;
    do {
        count = ::read(fd_, buffer_.data(), buffer_.size());
    } while (count < 0 && errno == EINTR);
    require(count >= 0, ExitCode::File, "cannot read {}: {}", name_, std::strerror(errno));
    end_ = static_cast<std::size_t>(count);
    ended_ = count == 0;
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
