// Lines of a file or pipe, in bounded memory whatever the file holds.
#pragma once

#include "text/byte_stream.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

class LineReader {
public:
    struct Line {
        std::string_view text;    // without "\n" or "\r\n"; valid until the next call
        std::int64_t number = 0;  // from 1
        std::int64_t begin = 0;   // bytes before the line
        bool too_long = false;    // `text` holds the first `max_bytes` only; the rest was passed over
        bool whole = false;       // a newline ended it, not the end of the file
    };

    LineReader(std::unique_ptr<ByteStream> bytes, std::size_t max_bytes);
    // Reads the open descriptor `fd`, which stays the caller's, as it is. `name` is for errors.
    LineReader(int fd, std::string name, std::size_t max_bytes);

    // The next line; none at the end. Errors: ExitCode::File when reading or unpacking fails.
    std::optional<Line> next();

    // Whether next() has a line to give without waiting, or will have within `milliseconds`. The end counts
    // as one. Of a long line it reads some buffers a call. Errors: as next.
    bool ready(int milliseconds);

private:
    std::string_view unread() const { return {buffer_.data() + begin_, end_ - begin_}; }
    std::size_t newline() const { return unread().find('\n'); }
    void begin_line();
    bool read_on();
    void keep(std::string_view part);
    Line line(std::string_view text, bool whole);

    std::unique_ptr<ByteStream> bytes_;
    std::size_t max_bytes_;
    std::vector<char> buffer_;
    std::size_t begin_ = 0;  // what is unread: buffer_[begin_, end_)
    std::size_t end_ = 0;
    bool ended_ = false;
    std::string kept_;         // the start of a line that crosses buffers
    std::size_t length_ = 0;   // of the line, as far as it was read
    int ending_ = 0;           // bytes of the line's end
    bool given_ = false;       // the line was given out
    std::int64_t offset_ = 0;  // of the line
    std::int64_t number_ = 0;
};

}  // namespace sluice
