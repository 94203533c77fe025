#include "checkpoint/hdf5_bytes.hpp"

#include <algorithm>

namespace sluice {

bool usable_hdf5_name(std::string_view name) {
    const auto forbidden = [](char c) {
        return static_cast<unsigned char>(c) < ' ' || c == '\x7f' || c == '/';
    };
    return !name.empty() && std::ranges::none_of(name, forbidden);
}

std::uint64_t Hdf5Cursor::number(std::size_t bytes) {
    const std::string_view digits = text(bytes);
    std::uint64_t value = 0;
    for (std::size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(digits[i]);
    return value;
}

std::string_view Hdf5Cursor::text(std::uint64_t bytes) {
    last_ = at_;
    if (bytes > left()) refuse("{} bytes should follow, but {} are left of what holds them", bytes, left());
    at_ += bytes;
    return {reinterpret_cast<const char*>(bytes_.data()) + last_, bytes};
}

Hdf5Cursor Hdf5Cursor::part(std::uint64_t bytes) {
    text(bytes);
    return {bytes_.subspan(last_, bytes), begin_ + last_, where_};
}

void Hdf5Cursor::expect_text(std::string_view expected, std::string_view what) {
    if (text(expected.size()) != expected) refuse("expected {}", what);
}

void Hdf5Cursor::expect_number(std::size_t bytes, std::uint64_t expected, std::string_view what) {
    const std::uint64_t found = number(bytes);
    if (found != expected) refuse("{} {}; Sluice writes {}", what, found, expected);
}

Hdf5Cursor Hdf5Bytes::claim(std::uint64_t address, std::uint64_t bytes, const Hdf5Cursor& from,
                            std::string_view what) {
    const std::uint64_t room = bytes_.size() - base_;
    if (address > room || bytes > room - address)
        from.refuse("{} of {} bytes at address {}, but the metadata ends at {}", what, bytes, address, room);
    if (bytes > room - claimed_) from.refuse("{} at address {} is in use already", what, address);
    claimed_ += bytes;
    const std::uint64_t begin = base_ + address;
    extents_.push_back({begin, begin + bytes});
    return {bytes_.subspan(begin, bytes), begin, where_};
}

std::uint64_t Hdf5Bytes::claim_values(std::uint64_t address, std::uint64_t bytes, std::string_view name,
                                      const Hdf5Cursor& from) {
    const std::uint64_t room = file_size_ - base_;
    if (address > room || bytes > room - address)
        from.refuse("{}: {} bytes of values at address {}, but the file ends at {}", name, bytes, address,
                    room);
    const std::uint64_t begin = base_ + address;
    extents_.push_back({begin, begin + bytes});
    return begin;
}

void Hdf5Bytes::check_overlaps() {
    std::ranges::sort(extents_, {}, &Extent::begin);
    const auto found = std::ranges::adjacent_find(
        extents_, [](const Extent& a, const Extent& b) { return b.begin < a.end; });
    if (found == extents_.end()) return;
    const Extent& second = *std::next(found);
    Hdf5Cursor(bytes_, second.begin, where_)
        .refuse("bytes {} to {} and {} to {} are of two things", found->begin, found->end, second.begin,
                second.end);
}

}  // namespace sluice
