#include "checkpoint_tools/conversion.hpp"

#include "checkpoint_tools/progress.hpp"
#include "comm/collectives.hpp"
#include "comm/placement.hpp"
#include "comm/rank_state.hpp"
#include "core/log.hpp"
#include "core/signals.hpp"
#include "core/units.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <optional>
#include <utility>

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// Of no other run.
std::string run_name() { return fmt::format("{}-{}", ::getpid(), Clock::now().time_since_epoch().count()); }

// "/layers/3/experts/17/gate" -> "/layers/*/experts/*/gate"
std::string pattern_of(const std::string& name) {
    std::string pattern;
    for (std::size_t at = 0; at < name.size();) {
        const std::size_t end = std::min(name.find('/', at + 1), name.size());
        const std::string_view part = std::string_view(name).substr(at + 1, end - at - 1);
        const bool number =
            !part.empty() && std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
        pattern += fmt::format("/{}", number ? "*" : part);
        at = end;
    }
    return pattern;
}

void print_errors(const std::vector<QuantizedTensor>& tensors) {
    struct Alike {
        QuantizationError error;
        const QuantizedTensor* worst = nullptr;
        int count = 0;
    };
    std::map<std::string, Alike> groups;
    for (const QuantizedTensor& tensor : tensors) {
        for (const std::string& name : {pattern_of(tensor.name), std::string("all")}) {
            Alike& group = groups[name];
            group.error.add(tensor.error);
            group.count += 1;
            if (group.worst == nullptr || tensor.error.relative() > group.worst->error.relative())
                group.worst = &tensor;
        }
    }
    fmt::print("{:<36} {:>7} {:>12} {:>12}  {}\n", "quantised", "count", "max error", "relative", "worst");
    for (const auto& [name, group] : groups)
        fmt::print("{:<36} {:>7} {:>12.4g} {:>12.4g}  {:.4g} in {}\n", name, group.count, group.error.largest,
                   group.error.relative(), group.worst->error.relative(), group.worst->name);
}

// Opened before the work begins, not to fail after it.
class Report {
public:
    explicit Report(const std::filesystem::path& path) : path_(path), out_(path) { check(); }
    void write(const std::vector<QuantizedTensor>& tensors) {
        for (const QuantizedTensor& tensor : tensors)
            out_ << fmt::format(R"({{"tensor":"{}","max_error":{:.9g},"relative_error":{:.9g}}})",
                                tensor.name, tensor.error.largest, tensor.error.relative())
                 << '\n';
        out_.close();
        check();
    }

private:
    void check() const { require(!out_.fail(), ExitCode::File, "cannot write {}", path_.string()); }

    std::filesystem::path path_;
    std::ofstream out_;
};

void tell(const ConversionRequest& request, const ConvertResult& result, std::uint64_t kept, double seconds) {
    const std::string output = request.output.string();
    log_info("wrote {}: {} tensors in {} {}, {} in {} ({:.2f} GB/s){}", output, result.tensors,
             result.slices > 0 ? result.slices : result.files,
             result.slices == 1  ? "slice"
             : result.slices > 1 ? "slices"
             : result.files == 1 ? "file"
                                 : "files",
             bytes_text(result.bytes), duration_text(seconds),
             static_cast<double>(result.bytes - kept) / 1e9 / std::max(seconds, 1e-9),
             result.id.empty() ? "" : ", id " + result.id);
    if (!result.quantized.empty()) print_errors(result.quantized);
    if (!result.tokenizer)
        log_warning(
            "{} has no tokenizer, so it takes prompts of token ids alone: for text, put tokenizer.json or "
            "tokenizer.model beside the source's config.json or ckpt-0 and convert it again",
            output);
}

// The work of this rank, with rank 0's share shown as it goes.
void work(Communicator& world, Conversion& conversion, const ConversionRequest& request) {
    const std::string ranks = world.size() > 1 ? fmt::format(" (rank 0 of {})", world.size()) : "";
    ProgressLine line("writing " + request.output.string() + ranks);
    const Activity activity("converting");
    conversion.work([&](std::uint64_t done, std::uint64_t total) {
        note_progress();
        if (world.rank() == 0) line.update(done, total);
        return stop_signal() == 0;
    });
}

}  // namespace

void add_conversion_options(CLI::App& app, ConversionRequest& request) {
    app.add_option("--input", request.input,
                   "Folder with config.json and *.safetensors, with ckpt-0, or a Sluice checkpoint")
        ->required()
        ->type_name("DIR")
        ->group("Files");
    app.add_option(
           "--output", request.output,
           "Folder to make; must not exist. Until it is whole it is DIR.partial, and the same command "
           "goes on with that after a stop")
        ->required()
        ->type_name("DIR")
        ->group("Files");
    app.add_flag("--sparse", request.options.holes,
                 "Leave zeros out as holes, and do not ask for free space before: for checkpoints without "
                 "weights, as sluice-synth --sparse makes them")
        ->group("Files");
    app.add_option("--slices", request.options.slices,
                   "Parts to cut the tensors in: any number of ranks that divides it can load them (default: "
                   "the largest power of two up to 8 that the model's heads and experts allow, or as the "
                   "Sluice checkpoint that is read)")
        ->check(CLI::Range(1, 999).description(""))
        ->type_name("G")
        ->group("Format");
    app.add_option("--memory", request.memory,
                   "Memory of each rank, at most; fewer threads are used where it is short")
        ->type_name("SIZE")
        ->capture_default_str()
        ->group("Program");
    app.add_option("--threads", request.threads, "Threads of each rank; 0: one for each processor it may use")
        ->check(CLI::Range(0, 1024).description(""))
        ->type_name("N")
        ->capture_default_str()
        ->group("Program");
}

ExitCode run_conversion(Communicator& world, ConversionRequest request) {
    catch_stop_signals();
    request.options.memory = parse_bytes(request.memory, "--memory");
    request.options.threads = request.threads > 0 ? request.threads : find_placement(world).threads;
    std::optional<Conversion> conversion;
    std::optional<Report> report;
    std::uint64_t kept = 0;
    const auto start = Clock::now();
    try {
        run_together(world, "reading the source", [&] {
            const Activity activity("reading the source", Activity::Kind::OpenEnded);
            if (world.rank() == 0 && !request.report.empty()) report.emplace(request.report);
            conversion.emplace(request.input, request.output, request.options);
        });
        run_together(world, "laying out files", [&] {
            if (world.rank() != 0) return;
            const Activity activity("laying out files", Activity::Kind::OpenEnded);
            kept = conversion->prepare();
            if (kept > 0) log_info("going on where an earlier run stopped: {} are there", bytes_text(kept));
        });
        const std::string run = gather_strings(world, run_name())[0];
        run_together(world, "opening files", [&] { conversion->begin(world.rank(), world.size(), run); });
        run_together(world, "converting", [&] { work(world, *conversion, request); });
        // A disk may take its time, without a word.
        const Activity activity("finishing files", Activity::Kind::OpenEnded);
        run_together(world, "finishing files", [&] { conversion->flush(); });
        run_together(world, "finishing files", [&] {
            if (world.rank() != 0) return;
            const ConvertResult result = conversion->finish();
            tell(request, result, kept, seconds_since(start));
            if (report) report->write(result.quantized);
        });
    } catch (const Error& problem) {
        if (world.rank() == 0 && conversion) conversion->stop(problem.code());
        throw;
    }
    return ExitCode::Complete;
}

}  // namespace sluice
