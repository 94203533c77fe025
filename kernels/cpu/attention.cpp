#include "kernels/cpu/attention_task.hpp"
#include "kernels/cpu/memory.hpp"
#include "kernels/cpu/parallel.hpp"

#include <algorithm>
#include <tuple>
#include <vector>

namespace sluice::kernels::cpu {
namespace {

AttentionScratch scratch_of(const AttentionArgs& args, const AttentionTiles& tiles) {
    AttentionScratch at;
    at.panels = (args.value_dim + kPanelColumns - 1) / kPanelColumns;
    at.values = tiles.keys;
    at.queries = at.values + tiles.values;
    at.sums = at.queries + kMostPairs * tiles.query;
    at.scores = at.sums + kMostPairs * at.panels * kPanelColumns;
    at.max = at.scores + kMostPairs * kPageTokens;
    at.total = at.max + kMostPairs;
    at.factor = at.total + kMostPairs;
    at.floats = at.factor + kMostPairs;
    return at;
}

// Pairs of one task: half of a thread's share, so that uneven contexts even out; but with few pairs in all,
// rather fewer tasks, because each converts the keys for itself; and one thread has nothing to even out.
std::int64_t pairs_per_task(std::int64_t pairs, int threads) {
    if (threads == 1) return kMostPairs;
    const std::int64_t share = (pairs + threads - 1) / threads;
    const std::int64_t least = std::min<std::int64_t>(share, 8);
    return std::clamp((share + 1) / 2, least, kMostPairs);
}

// A call's tasks; the memory stays for the thread's next call.
struct Plan {
    AttentionScratch at;
    std::vector<AttentionTask> tasks;
};

// The longest first, so that no thread begins one when the others are done.
bool before(const AttentionTask& a, const AttentionTask& b) {
    const auto cost = [](const AttentionTask& task) {
        return (task.end - task.begin) *
               (task.sequence->context - task.sequence->rows + task.end / task.heads);
    };
    const auto order = [](const AttentionTask& task) {
        return std::tuple(task.sequence, task.kv_head, task.begin);
    };
    return cost(a) != cost(b) ? cost(a) > cost(b) : order(a) < order(b);
}

void plan_tasks(Plan& plan, const AttentionArgs& args, int threads) {
    std::int64_t rows = 0;
    for (const SequenceRows& sequence : args.sequences) rows += sequence.rows;
    const std::int64_t most = std::max<std::int64_t>(pairs_per_task(rows * args.heads, threads), 1);
    // Head h reads kv head h * kv_heads / heads, so kv head g's heads begin where that first reaches g.
    const auto first_head = [&](std::int64_t g) {
        return (g * args.heads + args.kv_heads - 1) / args.kv_heads;
    };
    plan.tasks.clear();
    for (const SequenceRows& sequence : args.sequences) {
        const std::int32_t* masked = sequence.masked.data();
        for (std::int64_t g = 0; g < args.kv_heads; ++g) {
            const std::int64_t first = first_head(g), heads = first_head(g + 1) - first;
            const std::int64_t pairs = sequence.rows * heads;
            const std::int64_t parts = (pairs + most - 1) / most;
            for (std::int64_t i = 0; i < parts; ++i) {
                plan.tasks.push_back({&args, &sequence, g, first, heads, pairs * i / parts,
                                      pairs * (i + 1) / parts, masked, masked + sequence.masked.size(),
                                      &plan.at, nullptr});
            }
        }
    }
    std::sort(plan.tasks.begin(), plan.tasks.end(), before);
}

// Threads worth waking for the multiplications to be done.
int useful_threads(const AttentionArgs& args, int threads) {
    constexpr std::int64_t kWork = 1 << 18;
    std::int64_t work = 0;
    for (const SequenceRows& sequence : args.sequences) {
        work += sequence.rows * args.heads * sequence.context * (args.key_dim + args.value_dim);
    }
    return static_cast<int>(std::clamp<std::int64_t>(work / kWork, 1, std::max(threads, 1)));
}

}  // namespace

void attend_all(const AttentionArgs& args, const Execution& execution, const AttentionTiles& tiles,
                void (*attend)(const AttentionTask&)) {
    thread_local Plan mine;  // each calling thread's own; the teams below borrow it
    Plan& plan = mine;
    const int threads = useful_threads(args, execution.threads);
    plan.at = scratch_of(args, tiles);
    plan_tasks(plan, args, threads);
    over_tasks(static_cast<std::int64_t>(plan.tasks.size()), threads, [&](std::int64_t i) {
        thread_local Scratch scratch;
        AttentionTask task = plan.tasks[static_cast<std::size_t>(i)];
        task.scratch = reinterpret_cast<float*>(
            scratch.at_least(static_cast<std::size_t>(plan.at.floats) * sizeof(float)));
        attend(task);
    });
}

}  // namespace sluice::kernels::cpu
