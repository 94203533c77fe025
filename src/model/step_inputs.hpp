// A step's arrays where the operations find them.
#pragma once

#include "backend/exchange.hpp"
#include "backend/ops.hpp"
#include "model/step.hpp"

namespace sluice {

class StepInputs {
public:
    explicit StepInputs(const Ops& ops) : ops_(ops), block_(ops) {}

    // What is below is then this step's, which must stay as it is, until the next one.
    void take(const Step& step);
    // Steps of equal sizes between which this does not change have equal addresses below.
    std::int64_t moves() const { return block_.moves(); }

    ConstView tokens, positions, slots;  // I32 [rows]
    ConstView logit_rows;                // I32, of rows
    AttentionRows attention;

private:
    ConstView ints(const std::vector<std::int32_t>& values);
    void add_sequences(const Step& step);

    const Ops& ops_;
    Exchange block_;
};

}  // namespace sluice
