// The bytes that stand before an HDF5 file's values, read piece by piece; each belongs to one piece only.
#pragma once

#include "core/error.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

inline constexpr std::uint64_t kNoAddress = ~std::uint64_t{0};  // HDF5's "undefined address"

// Of a group, a dataset or an attribute: not empty, without slashes and control characters.
bool usable_hdf5_name(std::string_view name);

// Reads forward through one piece, never beyond its end. Its errors have ExitCode::Checkpoint and name the
// file and the byte in it.
class Hdf5Cursor {
public:
    // `begin` is where `bytes` stand in the file; `where` is the file's name and outlives the cursor.
    Hdf5Cursor(std::span<const std::byte> bytes, std::uint64_t begin, std::string_view where)
        : bytes_(bytes), begin_(begin), where_(where) {}

    std::uint64_t left() const { return bytes_.size() - at_; }
    std::uint64_t number(std::size_t bytes);  // little-endian, of 1 to 8 bytes
    std::string_view text(std::uint64_t bytes);
    Hdf5Cursor part(std::uint64_t bytes);  // the next bytes, as a piece of their own

    // Refuse what differs.
    void expect_text(std::string_view expected, std::string_view what);
    void expect_number(std::size_t bytes, std::uint64_t expected, std::string_view what);

    // Blames what was read last.
    template <class... Args>
    [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
        fail(ExitCode::Checkpoint,
             "{}: byte {}: {}; the file is damaged or was not written by Sluice: shard the model again",
             where_, begin_ + last_, fmt::format(format, std::forward<Args>(args)...));
    }

private:
    std::span<const std::byte> bytes_;
    std::uint64_t begin_, at_ = 0, last_ = 0;
    std::string_view where_;
};

class Hdf5Bytes {
public:
    // `bytes` are the file's first, at least to the end of its metadata, and outlive this.
    Hdf5Bytes(std::span<const std::byte> bytes, std::uint64_t file_size, std::string where)
        : bytes_(bytes), file_size_(file_size), where_(std::move(where)) {}
    Hdf5Bytes(const Hdf5Bytes&) = delete;
    Hdf5Bytes& operator=(const Hdf5Bytes&) = delete;

    std::uint64_t file_size() const { return file_size_; }
    Hdf5Cursor all() const { return {bytes_, 0, where_}; }

    // Where address 0 stands in the file.
    std::uint64_t base() const { return base_; }
    void set_base(std::uint64_t base) { base_ = base; }

    // The piece at an address, which `from` has just read. Pieces that share bytes are refused at the latest
    // by check_overlaps, and before their sum is longer than all there are: so whoever follows addresses
    // comes to an end, in circles too.
    Hdf5Cursor claim(std::uint64_t address, std::uint64_t bytes, const Hdf5Cursor& from,
                     std::string_view what);

    // Where in the file the values of dataset `name` begin, which need not be among the bytes held here.
    std::uint64_t claim_values(std::uint64_t address, std::uint64_t bytes, std::string_view name,
                               const Hdf5Cursor& from);

    void check_overlaps();

private:
    struct Extent {
        std::uint64_t begin, end;  // in the file
    };

    std::span<const std::byte> bytes_;
    std::uint64_t file_size_, base_ = 0, claimed_ = 0;
    std::string where_;
    std::vector<Extent> extents_;
};

}  // namespace sluice
