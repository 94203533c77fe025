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
