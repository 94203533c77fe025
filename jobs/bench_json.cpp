#include "core/error.hpp"
#include "core/json.hpp"
#include "core/program.hpp"
#include "jobs/bench_report.hpp"

#include <fmt/core.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace sluice {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson json_of(const Samples& samples) {
    return {{"median", samples.median()},
            {"min", samples.least()},
            {"max", samples.most()},
            {"repeats", samples.values.size()}};
}

OrderedJson json_of(const Ceilings& ceilings) {
    return {{"bytes_per_second", json_of(ceilings.bandwidth)}, {"flops_per_second", json_of(ceilings.flops)}};
}

OrderedJson json_of(const Breakdown& breakdown) {
    OrderedJson operations = OrderedJson::object();
    for (const auto& [op, total] : breakdown.operations)
        operations[op] = {{"seconds", total.seconds}, {"calls", total.calls}};
    return {{"operations", operations},
            {"communication_seconds", breakdown.communication},
            {"rest_seconds", breakdown.rest}};
}

OrderedJson json_of(const Figure& figure) {
    OrderedJson json = OrderedJson::object();
    for (const auto& [name, value] : figure.labels) json[name] = value;
    if (!figure.skipped.empty()) {
        json["skipped"] = figure.skipped;
        return json;
    }
    json["tokens"] = figure.tokens;
    json["steps"] = figure.steps;
    json["seconds"] = json_of(figure.seconds);
    json["tokens_per_second"] = figure.rate();
    json["bytes"] = figure.work.bytes;
    json["flops"] = figure.work.flops;
    json["ceilings"] = json_of(figure.ceilings);
    json["floor_seconds"] = json_of(figure.floor);
    json["bound"] = figure.bound();
    json["percent_of_roofline"] = json_of(figure.percent());
    json["breakdown"] = json_of(figure.breakdown);
    return json;
}

OrderedJson json_of(const std::vector<Figure>& figures) {
    OrderedJson json = OrderedJson::array();
    for (const Figure& figure : figures) json.push_back(json_of(figure));
    return json;
}

OrderedJson json_of(const LoadFigure& load) {
    return {{"bytes", load.bytes},
            {"packed_bytes", load.packed},
            {"seconds", json_of(load.seconds)},
            {"first_seconds", load.seconds.values.front()},
            {"bytes_per_second", static_cast<double>(load.bytes) / load.seconds.median()}};
}

OrderedJson json_of(const BenchRun& run) {
    return {{"threads", run.threads},
            {"ranks", run.ranks},
            {"ranks_on_this_machine", run.ranks_here},
            {"ceilings", json_of(run.ceilings)},
            {"load", json_of(run.load)},
            {"prefill", json_of(run.prefill)},
            {"decode", json_of(run.decode)},
            {"job", json_of(run.jobs)}};
}

OrderedJson json_of(const BenchReport& report, const BenchOptions& options) {
    OrderedJson runs = OrderedJson::array();
    for (const BenchRun& run : report.runs) runs.push_back(json_of(run));
    return {{"versions", {{"sluice", program_version()}, {"compiler", __VERSION__}}},
            {"checkpoint",
             {{"name", report.model},
              {"id", report.id},
              {"model", report.summary},
              {"matrices", report.quantization},
              {"slices", report.slices},
              {"parameters", report.parameters},
              {"active_parameters", report.active_parameters}}},
            {"machine", {{"processor", report.processor}, {"level", report.level}}},
            {"settings",
             {{"max_batch", options.max_batch},
              {"max_batch_tokens", options.max_batch_tokens},
              {"prefill_chunk", options.prefill_chunk},
              {"gemm", options.gemm == kernels::Products::Fp8 ? "fp8" : "bf16"},
              {"kv_dtype", name_of(options.kv_dtype)},
              {"seed", options.seed}}},
            {"runs", runs}};
}

void require_good(const std::ofstream& file, const BenchOptions& options) {
    require(file.good(), ExitCode::File, "{}: cannot be written ({})", options.json.string(),
            std::strerror(errno));
}

}  // namespace

// What an earlier run wrote there stays until there is something to write.
void check_json(const BenchOptions& options) {
    if (options.json.empty() || options.json == "-") return;
    require_good(std::ofstream(options.json, std::ios::binary | std::ios::app), options);
}

void write_json(const BenchReport& report, const BenchOptions& options) {
    const std::string text =
        json_of(report, options).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
    if (options.json == "-") return fmt::print("{}", text);
    std::ofstream file(options.json, std::ios::binary);
    file << text << std::flush;
    require_good(file, options);
}

}  // namespace sluice
