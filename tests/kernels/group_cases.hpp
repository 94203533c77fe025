#pragma once

#include "kernels/cases.hpp"

namespace sluice::test {

struct GroupCase {
    std::int64_t rows = 0, top_k = 1;
    std::int32_t first = 0, count = 0, experts = 24;  // `count` of the experts are local, from `first` on
    bool large = false;
    std::int64_t elements() const { return rows * top_k; }
    std::string name() const {
        return fmt::format("{}x{},experts:{}to{}of{}", rows, top_k, first, first + count, experts);
    }
};

inline std::vector<GroupCase> group_cases() {
    std::vector<GroupCase> cases;
    Noise noise(21);
    for (int i = 0; i < 50; ++i) {
        GroupCase c{.rows = noise.below(60), .top_k = 1 + noise.below(8)};
        c.first = static_cast<std::int32_t>(noise.below(10));
        c.count = static_cast<std::int32_t>(noise.below(12));
        cases.push_back(c);
    }
    // DeepSeek-V3 on one rank and on eight, DeepSeek-V2-Lite, Grok-1.
    add_steps(cases, {.top_k = 8, .count = 256, .experts = 256});
    add_steps(cases, {.top_k = 8, .first = 64, .count = 32, .experts = 256});
    add_steps(cases, {.top_k = 6, .count = 64, .experts = 64});
    add_steps(cases, {.top_k = 2, .count = 8, .experts = 8});
    return cases;
}

struct GroupCall {
    explicit GroupCall(const GroupCase& c)
        : size(c),
          expert(static_cast<std::size_t>(c.rows * c.top_k)),
          token(expert.size()),
          place(expert.size(), 77),
          offsets(static_cast<std::size_t>(c.count) + 1, 77) {
        Noise noise(static_cast<std::uint64_t>(c.rows + 100 * c.top_k));
        for (std::int32_t& e : expert) e = static_cast<std::int32_t>(noise.below(c.experts));
    }
    GroupArgs args() {
        return {expert.data(), size.rows,    size.top_k,     size.first,
                size.count,    token.data(), offsets.data(), place.data()};
    }

    GroupCase size;
    std::vector<std::int32_t> expert, token, place, offsets;
};

}  // namespace sluice::test
