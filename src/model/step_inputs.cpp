#include "model/step_inputs.hpp"

#include "core/error.hpp"

#include <algorithm>

namespace sluice {
namespace {

std::size_t room_for(const std::vector<std::int32_t>& values) {
    return Exchange::room_for<std::int32_t>(values.size());
}

void check_masked(std::span<const std::int32_t> positions) {
    expect(positions.empty() || (positions.front() >= 0 && std::ranges::is_sorted(positions)),
           "masked positions must ascend from 0 up");
}

}  // namespace

// Arrays whose lengths the numbers of rows and sequences decide come first: steps of equal numbers find them
// at equal addresses.
void StepInputs::take(const Step& step) {
    block_.begin(room_for(step.tokens) + room_for(step.positions) + room_for(step.slots) +
                 room_for(step.logit_rows) +
                 Exchange::room_for<kernels::SequenceRows>(step.sequences.size()) + room_for(step.pages) +
                 room_for(step.masked));
    tokens = ints(step.tokens);
    positions = ints(step.positions);
    slots = ints(step.slots);
    logit_rows = ints(step.logit_rows);
    add_sequences(step);
    block_.upload();
}

ConstView StepInputs::ints(const std::vector<std::int32_t>& values) {
    const auto* data = block_.lend(std::span<const std::int32_t>(values));
    return {data, DType::I32, ops_.memory().place(), {static_cast<std::int64_t>(values.size())}, 1};
}

void StepInputs::add_sequences(const Step& step) {
    const auto rows = block_.place<kernels::SequenceRows>(step.sequences.size());
    const auto* pages = ints(step.pages).as<std::int32_t>();
    const auto* masked = ints(step.masked).as<std::int32_t>();
    std::int64_t most_context = 0;
    for (std::size_t i = 0; i < step.sequences.size(); ++i) {
        const StepSequence& sequence = step.sequences[i];
        check_masked(std::span(step.masked)
                         .subspan(static_cast<std::size_t>(sequence.first_masked),
                                  static_cast<std::size_t>(sequence.masked)));
        most_context = std::max<std::int64_t>(most_context, sequence.context);
        rows.host[i] = {sequence.first_row,
                        sequence.rows,
                        sequence.context,
                        pages + sequence.first_page,
                        {masked + sequence.first_masked, static_cast<std::size_t>(sequence.masked)}};
    }
    attention = {{rows.here, rows.host.size()}, most_context};
}

}  // namespace sluice
