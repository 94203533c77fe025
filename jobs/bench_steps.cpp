#include "jobs/bench_steps.hpp"

#include "kernels/args.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/random.hpp"

#include <algorithm>

namespace sluice {
namespace {

constexpr int kPage = static_cast<int>(kernels::kPageTokens);

int pages_a_sequence(int length) { return (length + kPage - 1) / kPage; }

// The rows [begin, end) of a sequence that stands in pages [first_page, ...), of which the last is wanted
// where `sampled`.
void add_rows(StepPlan& plan, int first_page, int begin, int end, bool sampled, RandomTokens& tokens) {
    Step& step = plan.step;
    StepSequence sequence;
    sequence.first_row = static_cast<std::int32_t>(step.tokens.size());
    sequence.rows = end - begin;
    sequence.context = end;
    sequence.first_page = static_cast<std::int32_t>(step.pages.size());
    step.sequences.push_back(sequence);
    for (int page = 0; page < pages_a_sequence(end); ++page) step.pages.push_back(first_page + page);
    for (int position = begin; position < end; ++position) {
        step.tokens.push_back(tokens.next());
        step.positions.push_back(position);
        step.slots.push_back(first_page * kPage + position);
    }
    if (!sampled) return;
    step.logit_rows.push_back(static_cast<std::int32_t>(step.tokens.size()) - 1);
    SampleRow greedy;
    greedy.choice.temperature = 0;
    plan.samples.push_back(greedy);
}

}  // namespace

std::int32_t RandomTokens::next() {
    for (;;) {
        const auto token = static_cast<std::int32_t>(mix64(mix64(seed_) ^ drawn_++) %
                                                     static_cast<std::uint64_t>(vocabulary_));
        if (token != masked_) return token;
    }
}

std::int64_t pages_of(int sequences, int length) {
    return std::int64_t{sequences} * pages_a_sequence(length);
}

StepPlan decode_step(int batch, int context, RandomTokens& tokens) {
    StepPlan plan;
    for (int i = 0; i < batch; ++i)
        add_rows(plan, i * pages_a_sequence(context), context - 1, context, true, tokens);
    return plan;
}

std::vector<StepPlan> prefill_steps(int prompts, int length, int rows, RandomTokens& tokens) {
    std::vector<StepPlan> plans;
    for (int begin = 0; begin < length; begin += rows) {
        const int end = std::min(begin + rows, length);
        StepPlan& plan = plans.emplace_back();
        for (int i = 0; i < prompts; ++i)
            add_rows(plan, i * pages_a_sequence(length), begin, end, end == length, tokens);
    }
    return plans;
}

// One page of it, copied: what the numbers are changes nothing but that they must differ.
void fill_with_noise(const Ops& ops, const KvCache& cache, std::size_t layers, std::int64_t pages) {
    for (std::size_t layer = 0; layer < layers; ++layer) {
        const View view = cache.layer(static_cast<int>(layer));
        const std::int64_t elements = kPage * view.shape[2];
        std::vector<std::byte> page(static_cast<std::size_t>(elements) * size_of(view.dtype));
        for (std::int64_t i = 0; i < elements; ++i) {
            const auto value =
                static_cast<float>(2 * kernels::uniform(layer, static_cast<std::uint64_t>(i)) - 1);
            if (view.dtype == DType::F32)
                reinterpret_cast<float*>(page.data())[i] = value;
            else
                reinterpret_cast<bf16*>(page.data())[i] = to_bf16(value);
        }
        // A device's memory is this thread's.
        const int threads = view.place == Place::Host ? ops.threads() : 1;
        kernels::cpu::over_rows(pages, elements, threads, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i)
                ops.upload(page.data(), view.as<std::byte>() + static_cast<std::size_t>(i) * page.size(),
                           page.size());
        });
        ops.synchronize();
    }
}

}  // namespace sluice
