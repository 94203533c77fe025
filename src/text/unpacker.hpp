// gzip and Zstandard, unpacked piece by piece.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

enum class Packing { None, Gzip, Zstd };

// How what begins with `head` is packed; none when more bytes are needed to tell (four always do).
std::optional<Packing> recognise_packing(std::string_view head);

class Unpacker {
public:
    virtual ~Unpacker() = default;
    // Takes bytes off the front of `in` until it is empty or `out` is full. What was unpacked is in `out`, or
    // in `in` when nothing is packed. Errors: ExitCode::File when the bytes are damaged.
    virtual std::string_view unpack(std::string_view& in, std::span<char> out) = 0;
    // No more bytes will come. Errors: ExitCode::File when that is too early.
    virtual void finish() = 0;
};

// `name` is the file's, for errors.
std::unique_ptr<Unpacker> make_unpacker(Packing packing, std::string name);

}  // namespace sluice
