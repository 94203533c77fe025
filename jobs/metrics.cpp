#include "jobs/metrics.hpp"

#include "core/error.hpp"
#include "core/json.hpp"
#include "core/log.hpp"
#include "text/durable_file.hpp"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

struct Number {
    const char* group;  // of the JSON; with the name, and the prefix sluice, the name for Prometheus
    const char* name;
    bool counter;  // it only grows
    const char* help;
    double value;
};

double share(int part, int whole) { return whole > 0 ? static_cast<double>(part) / whole : 0; }

double count(std::int64_t number) { return static_cast<double>(number); }

// Whole numbers without a fraction.
nlohmann::ordered_json json_of(double value) {
    if (value == std::floor(value) && std::abs(value) < 0x1p53) return static_cast<std::int64_t>(value);
    return value;
}

std::vector<Number> numbers_of(const RunStatus& s) {
    const Tally& now = s.now;
    const double seconds = std::max(s.seconds, 1e-9);
    std::vector<Number> numbers{
        {"run", "seconds", true, "since the weights were there", s.seconds},
        {"requests", "answered", true, "by this run, errors included", count(now.answered)},
        {"requests", "answered_before", false, "by earlier runs", count(s.before.answered)},
        {"requests", "errors", true, "answered by an error record, by this run", count(now.errors)},
        {"requests", "equal", true, "answered with what an equal one had computed",
         count(now.answered_from_equal)},
        {"requests", "running", false, "in the batch", count(now.running)},
        {"requests", "waiting", false, "read, and not started", count(now.waiting)},
        {"tokens", "prompt", true, "of answered requests", count(now.prompt_tokens)},
        {"tokens", "completion", true, "of answered requests", count(now.completion_tokens)},
        {"tokens", "prefilled", true, "computed of prompts", count(now.prefill_rows)},
        {"tokens", "decoded", true, "computed one at a time", count(now.decode_rows)},
        {"tokens", "shared", true, "of prompts, found in the cache", count(now.shared_tokens)},
        {"rates", "prefill", false, "tokens a second, lately", s.prefill_rate},
        {"rates", "decode", false, "tokens a second, lately", s.decode_rate},
        {"rates", "prefill_mean", false, "tokens a second, of the whole run",
         count(now.prefill_rows) / seconds},
        {"rates", "decode_mean", false, "tokens a second, of the whole run",
         count(now.decode_rows) / seconds},
        {"batch", "steps", true, "run", count(now.steps)},
        {"batch", "sequences", false, "of a step, on the mean",
         count(now.sequences) / std::max(count(now.steps), 1.0)},
        {"batch", "preemptions", true, "sequences that gave up their pages", count(now.preemptions)},
        {"kv_cache", "pages", false, "of each rank", count(now.pages)},
        {"kv_cache", "pages_held", false, "by running sequences", count(now.pages_held)},
        {"kv_cache", "occupancy", false, "share of the pages that are held",
         share(now.pages_held, now.pages)},
        {"files", "input_seconds", true, "reading requests, waiting included", s.input_seconds},
        {"files", "output_seconds", true, "writing answers", s.output_seconds},
    };
    if (s.total) numbers.push_back({"requests", "total", false, "in the input", count(*s.total)});
    return numbers;
}

struct RankNumber {
    const char* name;
    bool counter;
    const char* help;
    double (*value)(const StepReport&, const RankLoad&);
};

constexpr RankNumber kRankNumbers[] = {
    {"compute_seconds", true, "in steps, without communication",
     [](const StepReport& rank, const RankLoad&) { return static_cast<double>(rank.computing); }},
    {"communication_seconds", true, "in collectives, waiting for slower ranks included",
     [](const StepReport& rank, const RankLoad&) { return static_cast<double>(rank.communicating); }},
    {"load_seconds", false, "reading and packing weights",
     [](const StepReport&, const RankLoad& load) { return load.seconds; }},
    {"load_bytes", false, "of weights, read",
     [](const StepReport&, const RankLoad& load) { return static_cast<double>(load.bytes); }},
};

RankLoad load_of(const RunStatus& status, std::size_t rank) {
    return rank < status.loads.size() ? status.loads[rank] : RankLoad{};
}

}  // namespace

std::string to_json(const RunStatus& status) {
    nlohmann::ordered_json json;
    json["state"] = status.state;
    for (const Number& number : numbers_of(status)) json[number.group][number.name] = json_of(number.value);
    json["ranks"] = nlohmann::ordered_json::array();
    for (std::size_t rank = 0; rank < status.ranks.size(); ++rank) {
        nlohmann::ordered_json entry{{"rank", rank}};
        for (const RankNumber& number : kRankNumbers)
            entry[number.name] = json_of(number.value(status.ranks[rank], load_of(status, rank)));
        json["ranks"].push_back(std::move(entry));
    }
    return json.dump(2) + "\n";
}

std::string to_prometheus(const RunStatus& status) {
    std::string text;
    const auto head = [&](const std::string& name, bool counter, std::string_view help) {
        text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, counter ? "counter" : "gauge");
    };
    const auto full_name = [](const char* group, const char* name, bool counter) {
        return fmt::format("sluice_{}_{}{}", group, name, counter ? "_total" : "");
    };
    for (const Number& number : numbers_of(status)) {
        const std::string name = full_name(number.group, number.name, number.counter);
        head(name, number.counter, number.help);
        text += fmt::format("{} {}\n", name, number.value);
    }
    for (const RankNumber& number : kRankNumbers) {
        const std::string name = full_name("rank", number.name, number.counter);
        head(name, number.counter, number.help);
        for (std::size_t rank = 0; rank < status.ranks.size(); ++rank)
            text += fmt::format("{}{{rank=\"{}\"}} {}\n", name, rank,
                                number.value(status.ranks[rank], load_of(status, rank)));
    }
    head("sluice_run_state", false, "1 for the state the run is in");
    for (const char* state : {"running", "complete", "stopped", "failed"})
        text += fmt::format("sluice_run_state{{state=\"{}\"}} {}\n", state, status.state == state ? 1 : 0);
    return text;
}

bool Metrics::due() const { return !path_.empty() && Clock::now() - written_ >= std::chrono::seconds(5); }

void Metrics::update(RunStatus status) {
    if (path_.empty()) return;
    const double interval = std::max(status.seconds - last_seconds_, 1e-9);
    status.prefill_rate = count(status.now.prefill_rows - last_.prefill_rows) / interval;
    status.decode_rate = count(status.now.decode_rows - last_.decode_rows) / interval;
    last_ = status.now;
    last_seconds_ = status.seconds;
    written_ = Clock::now();
    const std::string text = path_.extension() == ".prom" ? to_prometheus(status) : to_json(status);
    try {
        // A reader sees the old file or the new one; after a loss of power nobody needs either.
        replace_file(
            path_, [&](const WritePiece& write) { write(text); }, Durable::No);
    } catch (const Error& problem) {
        if (!warned_)
            log_warning("cannot write the metrics ({}); the run goes on without them", problem.what());
        warned_ = true;
    }
}

}  // namespace sluice
