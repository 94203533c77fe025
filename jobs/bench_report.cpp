#include "jobs/bench_report.hpp"

#include "core/units.hpp"
#include "model/parameters.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string_view>

namespace sluice {
namespace {

// As the system calls the processor; empty where it does not.
std::string processor_name() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        const std::size_t colon = line.find(": ");
        if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
    }
    return "";
}

std::string folder_name(const std::filesystem::path& path) {
    const auto name = path.filename();
    return (name.empty() ? path.parent_path().filename() : name).string();
}

// What tells a figure from its neighbours, in columns.
std::string columns_of(const Figure& figure) {
    std::string text;
    for (const auto& [name, value] : figure.labels) text += fmt::format("{:>{}}", value, name.size() + 2);
    return text;
}

std::string heads_of(const Figure& figure) {
    std::string text;
    for (const auto& [name, value] : figure.labels) text += fmt::format("  {}", name);
    return text;
}

double milliseconds_a_step(double seconds, const Figure& figure) {
    return 1e3 * seconds / static_cast<double>(figure.steps);
}

void print_figures(std::string_view title, const std::vector<Figure>& figures) {
    if (figures.empty()) return;
    fmt::print("\n{:<8}{}{:>12}{:>9}{:>12}{:>12}{:>9}{:>12}\n", title, heads_of(figures.front()), "tokens/s",
               "steps", "ms a step", "floor, ms", "bound", "% roofline");
    for (const Figure& figure : figures) {
        if (!figure.skipped.empty()) {
            fmt::print("{:<8}{}  not measured: {}\n", "", columns_of(figure), figure.skipped);
            continue;
        }
        fmt::print("{:<8}{}{:>12.1f}{:>9}{:>12.2f}{:>12.2f}{:>9}{:>12.1f}\n", "", columns_of(figure),
                   figure.rate(), figure.steps, milliseconds_a_step(figure.seconds.median(), figure),
                   milliseconds_a_step(figure.floor.median(), figure), figure.bound(),
                   figure.percent().median());
    }
}

// The case in the middle of those that were measured.
const Figure* middle_of(const std::vector<Figure>& figures) {
    std::vector<const Figure*> measured;
    for (const Figure& figure : figures)
        if (figure.skipped.empty()) measured.push_back(&figure);
    return measured.empty() ? nullptr : measured[measured.size() / 2];
}

std::string name_of(std::string_view title, const Figure& figure) {
    std::string text(title);
    for (const auto& [name, value] : figure.labels) text += fmt::format(", {} {}", name, value);
    return text;
}

void print_breakdown(std::string_view title, const std::vector<Figure>& figures) {
    const Figure* figure = middle_of(figures);
    if (figure == nullptr) return;
    double all = figure->breakdown.communication + figure->breakdown.rest;
    std::vector<std::pair<std::string, OpClock::Total>> parts;
    for (const auto& [op, total] : figure->breakdown.operations) {
        parts.emplace_back(op, total);
        all += total.seconds;
    }
    std::ranges::sort(parts, std::ranges::greater{}, [](const auto& part) { return part.second.seconds; });
    fmt::print("\n{:<40}{:>12}{:>8}{:>12}\n", name_of(title, *figure), "ms a step", "%", "calls");
    const auto print = [&](std::string_view what, double seconds, std::int64_t calls) {
        fmt::print("  {:<38}{:>12.3f}{:>8.1f}{:>12}\n", what, milliseconds_a_step(seconds, *figure),
                   100 * seconds / all, calls > 0 ? fmt::format("{}", calls / figure->steps) : "");
    };
    for (const auto& [op, total] : parts) print(op, total.seconds, total.calls);
    if (figure->breakdown.communication > 0) print("communication", figure->breakdown.communication, 0);
    print("rest", figure->breakdown.rest, 0);
}

}  // namespace

void describe(BenchReport& report, const Setup& setup, const BenchOptions& options) {
    const ModelConfig& config = setup.checkpoint->config();
    const ParameterCount parameters = count_parameters(config);
    report.model = folder_name(options.model);
    report.summary = model_text(config);
    report.id = setup.checkpoint->id();
    report.quantization = name_of(config.quantization.dtype);
    report.slices = setup.shard.slices;
    report.parameters = parameters.total;
    report.active_parameters = parameters.active;
    report.processor = processor_name();
    report.level = setup.compute.name;
}

void print_run(const BenchReport& report) {
    const BenchRun& run = report.runs.back();
    fmt::print("{}: {}, {}\n", report.model, report.summary, report.quantization);
    fmt::print("{}, {}; ranks {}, threads of each {}\n", report.processor, report.level, run.ranks,
               run.threads);
    fmt::print("all together read {:.1f} GB/s and multiply {:.0f} GFLOP/s\n",
               run.ceilings.bandwidth.most() / 1e9, run.ceilings.flops.most() / 1e9);
    fmt::print("loaded {} in {:.2f} s ({:.2f} GB/s), packed {}\n", bytes_text(run.load.bytes),
               run.load.seconds.median(),
               static_cast<double>(run.load.bytes) / run.load.seconds.median() / 1e9,
               bytes_text(run.load.packed));
    print_figures("prefill", run.prefill);
    print_figures("decode", run.decode);
    print_figures("job", run.jobs);
    print_breakdown("prefill", run.prefill);
    print_breakdown("decode", run.decode);
    fmt::print("\n");
    std::fflush(stdout);
}

}  // namespace sluice
