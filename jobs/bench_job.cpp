#include "jobs/bench_job.hpp"

#include "comm/collectives.hpp"
#include "comm/rank_state.hpp"
#include "core/log.hpp"
#include "jobs/bench_measure.hpp"
#include "jobs/bench_report.hpp"
#include "jobs/bench_room.hpp"
#include "kernels/cpu/ceilings.hpp"
#include "model/parameters.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace sluice {
namespace {

int longest_of(const BenchOptions& options, const std::vector<BenchRequest>& requests) {
    int longest = 1;
    if (options.measures(BenchPart::Prefill)) longest = std::max(longest, std::ranges::max(options.prefill));
    if (options.measures(BenchPart::Decode)) longest = std::max(longest, std::ranges::max(options.contexts));
    if (options.measures(BenchPart::Job)) {
        for (const BenchRequest& request : requests)
            longest = std::max(longest, options.job_prefix + request.longest());
    }
    return longest;
}

// What the ranks reach when all read, then all multiply, at the same time. Collective.
DeviceRates measure_ceilings(Communicator& world, const CeilingMeter& meter) {
    const Activity activity("measuring this machine");
    const auto together = [&](const std::function<double()>& rate) {
        world.barrier();
        const std::vector<double> rates = gather_values(world, rate());
        return std::reduce(rates.begin(), rates.end());
    };
    return {together([&] { return meter.read_rate(); }), together([&] { return meter.multiply_rate(); })};
}

Ceilings measure_ceilings(Communicator& world, const CeilingMeter& meter, int times) {
    Ceilings ceilings;
    for (int i = 0; i < times; ++i) {
        const DeviceRates rates = measure_ceilings(world, meter);
        ceilings.bandwidth.values.push_back(rates.bandwidth);
        ceilings.flops.values.push_back(rates.flops);
    }
    return ceilings;
}

// Loads it again and again, where that is measured; the last one stays.
Weights load(Communicator& world, Setup& setup, const Ops& ops, const BenchOptions& options,
             LoadFigure& figure) {
    Weights weights;
    double spent = 0;
    do {
        weights = {};
        weights = load_model(world, setup, ops, options);
        const double seconds = std::ranges::max(setup.loads, {}, &RankLoad::seconds).seconds;
        figure.seconds.values.push_back(seconds);
        spent += seconds;
    } while (options.measures(BenchPart::Load) && std::ssize(figure.seconds.values) < options.repeats &&
             spent < options.most_seconds);
    for (const RankLoad& load : setup.loads) figure.bytes += load.bytes;
    for (const std::uint64_t bytes : gather_values(world, weights.bytes.all)) figure.packed += bytes;
    return weights;
}

BenchRun run_with(Communicator& world, const BenchOptions& options, const std::vector<BenchRequest>& requests,
                  BenchReport& report) {
    ModelJob job;
    job.name = "measuring";
    job.longest = longest_of(options, requests);
    if (options.measures(BenchPart::Decode)) job.sequences = std::ranges::max(options.batches);
    const std::uint64_t stream = options.stream_bytes();
    job.memory = stream > 0 ? stream : kernels::cpu::kStreamBytes;
    job.check = [] {};  // bench() has
    job.open = [&](const Setup&) { check_json(options); };
    Setup setup = prepare(world, options, job);
    if (world.rank() == 0) log_plan(setup, options);
    describe(report, setup, options);

    BenchRun run;
    run.threads = setup.threads;
    run.ranks = world.size();
    run.ranks_here = setup.placement.local_size;
    OpClock clock;  // the others would only lose time
    Ops ops = ops_of(setup, world.rank() == 0 ? &clock : nullptr);
    std::unique_ptr<CeilingMeter> meter;
    run_together(world, "claiming memory to read", [&] { meter = ops.ceilings(stream); });
    run.ceilings = measure_ceilings(world, *meter, 2 * options.repeats);
    // A device's memory is for the model, and it is one's own: its ceilings stay as they are.
    const bool follow = options.runs_steps() && ops.memory().place() == Place::Host;
    if (!follow) meter.reset();
    Weights weights = load(world, setup, ops, options, run.load);
    if (!options.runs_steps()) return run;
    const ModelConfig& config = setup.checkpoint->config();
    const Roofline roofline(config, setup.shard, weights.bytes, options.kv_dtype);
    LoadedModel model(world, setup, std::move(weights), ops, options.kv_dtype);
    const BenchRoom room(options, setup, requests);
    fill_with_noise(ops, model.cache(), config.layers.size(), room.pages());
    DeviceRates ceilings{run.ceilings.bandwidth.most(), run.ceilings.flops.most()};
    if (follow) job.idle = [&] { ceilings = measure_ceilings(world, *meter); };
    job.lead = [&](const Setup&, Engine& engine) {
        const auto now = [&] {
            engine.idle();
            return ceilings;
        };
        BenchMeasure measure(
            {options, requests, setup, room, engine, ops, clock, roofline, world.size(), now});
        if (options.measures(BenchPart::Prefill)) run.prefill = measure.prefill();
        if (options.measures(BenchPart::Decode)) run.decode = measure.decode();
        if (options.measures(BenchPart::Job)) run.jobs = measure.jobs();
        return ExitCode::Complete;
    };
    model.run(job);
    return run;
}

}  // namespace

ExitCode bench(Communicator& world, const BenchOptions& options) {
    std::vector<BenchRequest> requests;
    run_together(world, "reading the job", [&] {
        check_bench_options(options);
        requests = bench_requests(options);
    });
    BenchReport report;
    for (const int threads : options.thread_counts) {
        BenchOptions one = options;
        one.threads = threads;
        report.runs.push_back(run_with(world, one, requests, report));
        if (world.rank() == 0 && options.json != "-") print_run(report);
    }
    run_together(world, "writing the report", [&] {
        if (world.rank() == 0 && !options.json.empty()) write_json(report, options);
    });
    return ExitCode::Complete;
}

}  // namespace sluice
