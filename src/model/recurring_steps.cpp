#include "model/recurring_steps.hpp"

#include "model/step_ladder.hpp"

namespace sluice {
namespace {

// A batch and its longest context change slowly, and a few sizes pass while it drains.
constexpr std::size_t kMostSizes = 16;

}  // namespace

RecurringSteps::RecurringSteps(const Ops& ops, int most_rows, int most_positions)
    : recurring_(ops, kMostSizes), most_rows_(most_rows), most_positions_(most_positions) {}

// The key tells apart all steps whose operations differ: of a size, the inputs' arrays stand at equal places
// of their block, and pages and masked positions are found through them. It follows from the steps alone, and
// addresses, of which each rank has its own, only show in it by what moved: so all ranks queue, record and
// replay the same steps. What is recorded on one rank must be on all that sum with it, for NCCL pairs
// recorded sums with recorded ones only.
void RecurringSteps::run(const Step& step, StepInputs& inputs, const KvCache& cache,
                         const std::function<void()>& compute) {
    padded_ = step;
    pad(padded_, rung_of_rows(static_cast<int>(step.tokens.size()), most_rows_));
    inputs.take(padded_);
    inputs.plan_for_context(rung_of_context(inputs.attention.most_context, most_positions_));
    recurring_.run({inputs.tokens.shape[0], inputs.attention.most_context, inputs.moves(), cache.serial()},
                   compute);
}

}  // namespace sluice
