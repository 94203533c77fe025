#include "text/partition.hpp"

#include <charconv>

namespace sluice {
namespace {

std::optional<int> positive_number(std::string_view text) {
    int number = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = end.ec == std::errc() && end.ptr == text.data() + text.size();
    return whole && number >= 1 ? std::optional(number) : std::nullopt;
}

}  // namespace

std::optional<Partition> parse_partition(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto part = positive_number(text.substr(0, slash));
    const auto parts = positive_number(text.substr(slash + 1));
    if (!part || !parts || *part > *parts) return std::nullopt;
    return Partition{*part, *parts};
}

}  // namespace sluice
