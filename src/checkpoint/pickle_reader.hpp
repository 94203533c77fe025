// The bytes of a pickle stream of protocol 4: opcodes, their arguments, frames.
#pragma once

#include "core/error.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

struct ByteRange {
    std::size_t begin = 0, end = 0;  // in the file
};

// Reads forward, never beyond the file's end nor across a frame's end, and jumps over what `bytes` stands
// for. ExitCode::Checkpoint naming the file and the byte offset of the opcode at fault.
class PickleReader {
public:
    // Checks the stream's first two bytes, which state the protocol.
    PickleReader(std::span<const std::byte> file, std::string where);

    std::uint8_t next_opcode();
    std::uint64_t number(std::size_t bytes);  // little-endian, of 1 to 8 bytes
    ByteRange bytes(std::uint64_t count);
    std::string_view text(ByteRange range) const;  // part of the file; need not be valid UTF-8

    void begin_frame(std::uint64_t bytes);
    // At the stream's end, which must be that of the file and of the frame.
    void finish() const;

    template <class... Args>
    [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
        fail(ExitCode::Checkpoint, "{}: byte {}: {}", where_, opcode_at_,
             fmt::format(format, std::forward<Args>(args)...));
    }

private:
    void check_start();

    std::span<const std::byte> file_;
    std::string where_;
    std::size_t at_ = 0, opcode_at_ = 0;
    std::optional<std::size_t> frame_end_;
};

}  // namespace sluice
