// The bytes of a file or pipe, as they are or unpacked, in bounded memory.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace sluice {

class ByteStream {
public:
    virtual ~ByteStream() = default;
    // Waits for bytes, puts some into `out` (not empty) and says how many; 0 is the end. Errors:
    // ExitCode::File when reading or unpacking fails.
    virtual std::size_t read(std::span<char> out) = 0;
    // Whether read() has bytes to give without waiting, or will have within `milliseconds`. The end counts
    // as bytes. Of packed bytes that come to nothing it reads some buffers a call. Errors: as read.
    virtual bool ready(int milliseconds) = 0;
};

// The bytes of the open descriptor `fd`, which stays the caller's. `name` is for errors.
std::unique_ptr<ByteStream> bytes_of(int fd, std::string name);

// The same, unpacked when they begin as gzip's or Zstandard's do: all members or frames, one after the other.
// Takes some 400 KiB for gzip, and for Zstandard what its window asks for, at most 128 MiB.
std::unique_ptr<ByteStream> unpacked_bytes_of(int fd, std::string name);

}  // namespace sluice
