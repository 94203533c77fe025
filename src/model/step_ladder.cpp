#include "model/step_ladder.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <bit>
#include <vector>

namespace sluice {
namespace {

template <class T>
T round_up(T value, T unit) {
    return (value + unit - 1) / unit * unit;
}

}  // namespace

bool only_decodes(const Step& step) {
    const std::size_t rows = step.tokens.size();
    return rows > 0 && step.sequences.size() == rows && step.logit_rows.size() == rows;
}

int rung_of_rows(int rows, int most) {
    const int power = static_cast<int>(std::bit_ceil(static_cast<unsigned>(rows)));
    return std::min(rows <= 8 ? power : round_up(rows, std::max(8, power / 8)), most);
}

std::int64_t rung_of_context(std::int64_t context, std::int64_t most) {
    constexpr std::uint64_t kLeast = 512;
    const std::uint64_t below =
        std::bit_floor(static_cast<std::uint64_t>(std::max<std::int64_t>(context, 2) - 1));
    return std::min(round_up(context, static_cast<std::int64_t>(std::max(kLeast, below / 2))), most);
}

void pad(Step& step, int rows) {
    expect(only_decodes(step), "a step that does more than decode cannot be padded");
    std::vector<StepSequence> by_context = step.sequences;
    std::ranges::sort(by_context, {}, &StepSequence::context);
    const std::size_t given = step.tokens.size();
    for (auto i = static_cast<std::int32_t>(given); i < rows; ++i) {
        const StepSequence& again = by_context[(static_cast<std::size_t>(i) - given) % given];
        const auto row = static_cast<std::size_t>(again.first_row);
        step.tokens.push_back(step.tokens[row]);
        step.positions.push_back(step.positions[row]);
        step.slots.push_back(step.slots[row]);
        step.logit_rows.push_back(i);
        step.sequences.push_back(again);
        step.sequences.back().first_row = i;
    }
}

}  // namespace sluice
