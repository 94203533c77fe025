// Steps that only decode, padded to sizes that recur: from the third of a size on, a device is told of one in
// a single call.
#pragma once

#include "backend/recurring.hpp"
#include "model/kv_cache.hpp"
#include "model/step.hpp"
#include "model/step_inputs.hpp"

#include <functional>

namespace sluice {

class RecurringSteps {
public:
    // `ops` must outlive it. What the decoder has room for: a step has `most_rows`, a sequence
    // `most_positions` at most, also when they are rounded up.
    RecurringSteps(const Ops& ops, int most_rows, int most_positions);

    // Takes the inputs of a step that only decodes, padded, and queues what `compute` makes of them in this
    // cache, where Ops::can_record().
    void run(const Step& step, StepInputs& inputs, const KvCache& cache,
             const std::function<void()>& compute);

    // What was recorded is of no use any more.
    void forget() { recurring_.forget(); }

private:
    Recurring recurring_;
    int most_rows_, most_positions_;
    Step padded_;
};

}  // namespace sluice
