#include "jobs/bench_measure.hpp"

#include "comm/rank_state.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "engine/generator.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>
#include <utility>

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

BenchMeasure::BenchMeasure(const BenchParts& parts)
    : parts_(parts),
      apart_(parts.ops.memory().place() != Place::Host),
      tokens_(parts.setup.checkpoint->config().vocab, parts.setup.checkpoint->config().masked_token,
              parts.options.seed) {
    tell_clock(!apart_);
    // What is claimed at the first use (scratch of products, pages of the workspace) is of no figure.
    run(prefill_plans(parts_.room.warming_prompts(), parts_.room.warming_length()));
}

void BenchMeasure::tell_clock(bool tell) {
    parts_.ops.tell_clock(tell);
    parts_.engine.run_by_operation(tell);
}

BenchMeasure::Plans BenchMeasure::prefill_plans(int prompts, int length) {
    const int rows = parts_.room.prompt_rows(), chunk = parts_.options.prefill_chunk;
    return prefill_steps(prompts, length, chunk > 0 ? std::min(rows, chunk) : rows, tokens_);
}

void BenchMeasure::run(Plans plans) {
    for (StepPlan& plan : plans) parts_.engine.run(plan);
}

void BenchMeasure::measure(Figure& figure, const std::function<void()>& prepare,
                           const std::function<void()>& work) {
    std::vector<StepWork> steps;
    parts_.engine.watch([&](const Step& step) {
        if (!step.tokens.empty()) steps.push_back(parts_.roofline.of(step));
    });
    parts_.clock.clear();
    Spent spent;
    DeviceRates before = parts_.ceilings();
    do {
        prepare();
        steps.clear();
        const Spent one = time(work);
        figure.seconds.values.push_back(one.all);
        spent = {spent.all + one.all, spent.communicating + one.communicating};
        const DeviceRates after = parts_.ceilings();
        count(figure, steps, before, after);
        before = after;
    } while (std::ssize(figure.seconds.values) < parts_.options.repeats &&
             spent.all < parts_.options.most_seconds);
    parts_.engine.watch({});

    const std::int64_t runs = std::ssize(figure.seconds.values);
    figure.steps /= runs;
    figure.work = {figure.work.bytes / static_cast<double>(runs),
                   figure.work.flops / static_cast<double>(runs)};
    if (!apart_) {
        figure.breakdown = breakdown_of(parts_.clock, spent.all, spent.communicating, runs);
        return;
    }
    tell_clock(true);
    const std::int64_t tokens = figure.tokens;  // of a job, counted anew
    prepare();
    const Spent timed = time(work);
    tell_clock(false);
    figure.breakdown = breakdown_of(parts_.clock, timed.all, timed.communicating, 1);
    figure.tokens = tokens;
}

void BenchMeasure::count(Figure& figure, const std::vector<StepWork>& steps, DeviceRates before,
                         DeviceRates after) const {
    const DeviceRates rates{std::midpoint(before.bandwidth, after.bandwidth),
                            std::midpoint(before.flops, after.flops)};
    const DeviceRates of_a_rank{rates.bandwidth / parts_.ranks, rates.flops / parts_.ranks};
    double floor = 0;
    for (const StepWork& step : steps) {
        const StepTime least = least_time(step, of_a_rank);
        figure.work.bytes += step.bytes;
        figure.work.flops += step.flops;
        floor += least.seconds;
        if (least.memory_bound) figure.reading += least.seconds;
    }
    figure.steps += std::ssize(steps);
    figure.floor.values.push_back(floor);
    figure.ceilings.bandwidth.values.push_back(rates.bandwidth);
    figure.ceilings.flops.values.push_back(rates.flops);
}

BenchMeasure::Spent BenchMeasure::time(const std::function<void()>& work) {
    const double before = seconds_communicating();
    const Clock::time_point start = Clock::now();
    work();
    const double all = seconds_since(start);
    return {all, seconds_communicating() - before};
}

std::vector<Figure> BenchMeasure::prefill() {
    std::vector<Figure> figures;
    for (const int length : parts_.options.prefill) {
        Figure& figure = figures.emplace_back();
        const int prompts = parts_.room.prompts_of(length);
        figure.labels = {{"length", length}, {"prompts", prompts}};
        figure.tokens = std::int64_t{prompts} * length;
        figure.skipped = parts_.room.obstacle(prompts, length);
        if (!figure.skipped.empty()) continue;
        log_info("prefill of {} x {} tokens", prompts, length);
        Plans plans;
        measure(
            figure, [&] { plans = prefill_plans(prompts, length); }, [&] { run(std::move(plans)); });
    }
    return figures;
}

std::vector<Figure> BenchMeasure::decode() {
    std::vector<Figure> figures;
    for (const int batch : parts_.options.batches) {
        for (const int context : parts_.options.contexts) {
            Figure& figure = figures.emplace_back();
            figure.labels = {{"batch", batch}, {"context", context}};
            figure.tokens = std::int64_t{batch} * parts_.options.steps;
            figure.skipped = parts_.room.obstacle(batch, context);
            if (!figure.skipped.empty()) continue;
            log_info("decoding {} x {} tokens", batch, context);
            Plans plans;
            const auto prepare = [&] {
                plans.clear();
                for (int i = 0; i < parts_.options.steps; ++i)
                    plans.push_back(decode_step(batch, context, tokens_));
            };
            // Where steps are recorded, that is done with their second one.
            for (int i = 0; i < 2; ++i) run({decode_step(batch, context, tokens_)});
            measure(figure, prepare, [&] { run(std::move(plans)); });
        }
    }
    return figures;
}

std::vector<Figure> BenchMeasure::jobs() {
    std::vector<Figure> figures;
    figures.push_back(job(0, parts_.options.prefix_sharing));
    if (parts_.options.job_prefix > 0) {
        figures.push_back(job(parts_.options.job_prefix, true));
        figures.push_back(job(parts_.options.job_prefix, false));
    }
    return figures;
}

Figure BenchMeasure::job(int prefix, bool sharing) {
    Figure figure;
    int longest = 0;
    for (const BenchRequest& request : parts_.requests)
        longest = std::max(longest, prefix + request.longest());
    figure.labels = {
        {"requests", std::ssize(parts_.requests)}, {"prefix", prefix}, {"prefix_sharing", sharing}};
    figure.skipped = parts_.room.obstacle(1, longest);
    if (!figure.skipped.empty()) return figure;
    log_info("a job of {} requests{}", parts_.requests.size(),
             prefix > 0 ? fmt::format(" with {} common tokens, {}", prefix, sharing ? "shared" : "not shared")
                        : "");
    std::optional<ListedRequests> source;
    measure(
        figure, [&] { source.emplace(listed(parts_.requests, prefix, tokens_)); },
        [&] { run_job(*source, sharing, figure); });
    return figure;
}

void BenchMeasure::run_job(ListedRequests& source, bool sharing, Figure& figure) {
    BenchOptions options = parts_.options;
    options.prefix_sharing = sharing;
    const int longest = parts_.setup.limits.positions;
    const RequestEncoder encoder = encoder_of(parts_.setup, options, longest);
    Scheduler scheduler = scheduler_of(parts_.setup, options, false);
    GeneratorOptions choices;
    choices.longest = longest;
    figure.tokens = 0;
    const auto count = [&](const Answer& answer) {
        require(!answer.completion.error, ExitCode::File, "request {} of the job: {}", answer.completion.id,
                answer.completion.error ? answer.completion.error->message : "");
        figure.tokens += answer.completion.prompt_tokens + answer.completion.completion_tokens;
    };
    Generator generator({.source = source,
                         .encoder = encoder,
                         .tokenizer = *parts_.setup.tokenizer,
                         .scheduler = scheduler,
                         .engine = parts_.engine,
                         .measured = tuner_of(parts_.setup, options, scheduler)},
                        choices, count);
    generator.run([] { return false; });
}

}  // namespace sluice
