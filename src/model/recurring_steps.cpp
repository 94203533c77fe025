#include "model/recurring_steps.hpp"

#include "model/step_ladder.hpp"

#include <cstdint>
#include <utility>

namespace sluice {
namespace {

// A batch and its longest context change slowly, and a few sizes pass while it drains.
constexpr std::size_t kMostSizes = 16;

std::int64_t address(const void* data) { return reinterpret_cast<std::intptr_t>(data); }

}  // namespace

RecurringSteps::RecurringSteps(const Ops& ops, int most_rows, int most_positions)
    : recurring_(ops, kMostSizes), most_rows_(most_rows), most_positions_(most_positions) {}

// The key holds all that differs between the operations of two steps: of a size, the inputs' arrays stand at
// equal places of their block, and pages and masked positions are found through them.
void RecurringSteps::run(const Step& step, StepInputs& inputs, const KvCache& cache,
                         const std::function<void()>& compute) {
    padded_ = step;
    pad(padded_, rung_of_rows(static_cast<int>(step.tokens.size()), most_rows_));
    inputs.take(padded_);
    inputs.attention.most_context = rung_of_context(inputs.attention.most_context, most_positions_);
    Recurring::Key key = {inputs.tokens.shape[0], inputs.attention.most_context, address(inputs.tokens.data)};
    for (const Tensor& layer : cache.layers()) key.push_back(address(layer.view().data));
    recurring_.run(std::move(key), compute);
}

}  // namespace sluice
