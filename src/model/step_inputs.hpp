// A step's arrays where the operations find them.
#pragma once

#include "backend/exchange.hpp"
#include "backend/ops.hpp"
#include "model/step.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

// Rows [first, first + count) of a step, as if they were one.
struct RowBlock {
    std::int64_t first = 0, count = 0;
    ConstView positions;  // I32 [count]
    AttentionRows attention;
};

class StepInputs {
public:
    // block_rows: of each of `blocks`, but the last.
    StepInputs(const Ops& ops, std::int64_t block_rows)
        : ops_(ops), block_rows_(block_rows), exchange_(ops) {}

    // What is below is then this step's, which must stay as it is, until the next one.
    void take(const Step& step);
    // Attention is planned for a context of at least so many positions.
    void plan_for_context(std::int64_t most);
    // Steps of equal sizes between which this does not change have equal addresses below.
    std::int64_t moves() const { return exchange_.moves(); }

    ConstView tokens, positions, slots;  // I32 [rows]
    ConstView logit_rows;                // I32, of rows
    AttentionRows attention;             // of all rows
    std::vector<RowBlock> blocks;        // of all rows

private:
    ConstView ints(const std::vector<std::int32_t>& values);
    void cut(const Step& step);
    void place_sequences(const Step& step);

    const Ops& ops_;
    std::int64_t block_rows_;
    Exchange exchange_;
    // Of several blocks, one after the other: the sequences' parts, and where each block's end.
    std::vector<StepSequence> parts_;
    std::vector<std::size_t> ends_;
};

}  // namespace sluice
