// A share of the input: several jobs, each with another part, answer all of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

// Part `part` (from 1) of `parts`: every parts-th line, so that lines of all files are spread evenly.
struct Partition {
    int part = 1;
    int parts = 1;

    // Whether line `number`, counted from 0 over the whole input, belongs to this part.
    bool has(std::int64_t number) const { return number % parts == part - 1; }
    // How many of `lines` lines belong to it.
    std::int64_t share_of(std::int64_t lines) const { return (lines + parts - part) / parts; }
};

// "I/N" with 1 <= I <= N; none for anything else.
std::optional<Partition> parse_partition(std::string_view text);

}  // namespace sluice
