#include "model/step_inputs.hpp"

#include "core/error.hpp"

#include <algorithm>

namespace sluice {
namespace {

std::size_t room_for(const std::vector<std::int32_t>& values) {
    return Exchange::room_for<std::int32_t>(values.size());
}

// A sequence's rows in [begin, end) of its step, numbered from there.
StepSequence part_of(const StepSequence& all, std::int32_t begin, std::int32_t end) {
    StepSequence part = all;
    part.first_row = std::max(all.first_row, begin) - begin;
    part.rows = std::min(all.first_row + all.rows, end) - begin - part.first_row;
    part.context -= std::max(all.first_row + all.rows - end, 0);
    return part;
}

void check_masked(std::span<const std::int32_t> positions) {
    expect(positions.empty() || (positions.front() >= 0 && std::ranges::is_sorted(positions)),
           "masked positions must ascend from 0 up");
}

}  // namespace

// Arrays whose lengths the numbers of rows and sequences decide come first: steps of equal numbers find them
// at equal addresses.
void StepInputs::take(const Step& step) {
    cut(step);
    exchange_.begin(room_for(step.tokens) + room_for(step.positions) + room_for(step.slots) +
                    room_for(step.logit_rows) +
                    Exchange::room_for<kernels::SequenceRows>(step.sequences.size() + parts_.size()) +
                    room_for(step.pages) + room_for(step.masked));
    tokens = ints(step.tokens);
    positions = ints(step.positions);
    slots = ints(step.slots);
    logit_rows = ints(step.logit_rows);
    place_sequences(step);
    exchange_.upload();
}

void StepInputs::plan_for_context(std::int64_t most) {
    attention.most_context = std::max(attention.most_context, most);
    for (RowBlock& block : blocks)
        block.attention.most_context = std::max(block.attention.most_context, most);
}

ConstView StepInputs::ints(const std::vector<std::int32_t>& values) {
    const auto* data = exchange_.lend(std::span<const std::int32_t>(values));
    return {data, DType::I32, ops_.memory().place(), {static_cast<std::int64_t>(values.size())}, 1};
}

void StepInputs::cut(const Step& step) {
    const auto rows = static_cast<std::int32_t>(step.tokens.size());
    parts_.clear();
    ends_.clear();
    blocks.clear();
    for (std::int64_t first = 0; first < rows; first += block_rows_) {
        const auto begin = static_cast<std::int32_t>(first);
        const auto end = static_cast<std::int32_t>(std::min<std::int64_t>(first + block_rows_, rows));
        blocks.push_back({begin, end - begin, {}, {}});
        if (rows <= block_rows_) return;  // it has the sequences as they are
        for (const StepSequence& sequence : step.sequences) {
            const StepSequence part = part_of(sequence, begin, end);
            if (part.rows > 0) parts_.push_back(part);
        }
        ends_.push_back(parts_.size());
    }
}

void StepInputs::place_sequences(const Step& step) {
    const std::size_t whole = step.sequences.size();
    const auto rows = exchange_.place<kernels::SequenceRows>(whole + parts_.size());
    const auto* pages = ints(step.pages).as<std::int32_t>();
    const auto* masked = ints(step.masked).as<std::int32_t>();
    const auto place = [&](std::span<const StepSequence> sequences, std::size_t at) {
        AttentionRows placed{{rows.here + at, sequences.size()}, 0};
        for (const StepSequence& sequence : sequences) {
            placed.most_context = std::max<std::int64_t>(placed.most_context, sequence.context);
            rows.host[at++] = {sequence.first_row,
                               sequence.rows,
                               sequence.context,
                               pages + sequence.first_page,
                               {masked + sequence.first_masked, static_cast<std::size_t>(sequence.masked)}};
        }
        return placed;
    };
    for (const StepSequence& sequence : step.sequences) {
        check_masked(std::span(step.masked)
                         .subspan(static_cast<std::size_t>(sequence.first_masked),
                                  static_cast<std::size_t>(sequence.masked)));
    }
    attention = place(step.sequences, 0);
    for (std::size_t b = 0, part = 0; b < blocks.size(); ++b) {
        RowBlock& block = blocks[b];
        block.positions = positions;
        block.positions.data = positions.as<std::int32_t>() + block.first;
        block.positions.shape[0] = block.count;
        block.attention = attention;
        if (ends_.empty()) break;
        block.attention = place(std::span(parts_).subspan(part, ends_[b] - part), whole + part);
        part = ends_[b];
    }
}

}  // namespace sluice
