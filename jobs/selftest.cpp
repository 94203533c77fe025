#include "jobs/selftest.hpp"

#include "backend/available_memory.hpp"
#include "comm/collectives.hpp"
#include "comm/placement.hpp"
#include "comm/rank_state.hpp"
#include "core/program.hpp"
#include "core/units.hpp"
#include "jobs/job_files.hpp"
#include "jobs/model_job.hpp"
#include "jobs/selftest_sums.hpp"
#include "kernels/workspace.hpp"
#include "model/catalog.hpp"
#include "model/rank_sums.hpp"
#include "text/posix_file.hpp"
#include "text/prompt_file.hpp"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kSample = std::uint64_t{256} << 20U;  // bytes a rank reads of the model
constexpr double kClocksApart = 5;                            // seconds: logs of several machines still match

// Line by line, also into a pipe: a heartbeat that ends the process leaves buffers unwritten.
void print(std::string_view text) {
    fmt::print("{}\n", text);
    std::fflush(stdout);
}

// The table, and what has failed so far. Its calls are collective.
class Report {
public:
    explicit Report(Communicator& world) : world_(world), hosts_(gather_strings(world, host_name())) {}

    const std::vector<std::string>& hosts() const { return hosts_; }
    ExitCode code() const { return code_; }

    void line(std::string_view check, std::string_view text) const {
        if (world_.rank() == 0) print(fmt::format("{:<12}{}", check, text));
    }

    // `work` uses no collective and returns what it found; an error of it is this rank's failure. Returns
    // every rank's findings; none when a rank failed.
    std::vector<std::string> on_each(std::string_view check, const std::function<std::string()>& work) {
        Problem mine{ExitCode::Complete, ""};
        std::string finding;
        try {
            finding = work();
        } catch (const std::exception& thrown) {
            mine = explain(thrown);
        }
        const auto codes = gather_values(world_, mine.code);
        const auto problems = gather_strings(world_, mine.message);
        auto findings = gather_strings(world_, finding);
        for (std::size_t rank = 0; rank < codes.size(); ++rank) {
            if (codes[rank] == ExitCode::Complete) continue;
            failed(check, codes[rank],
                   fmt::format("rank {} (host {}): {}", rank, hosts_[rank], problems[rank]));
            findings.clear();
        }
        return findings;
    }

    // What a rank found wrong; empty: nothing. `text` says what is well otherwise.
    void compare(std::string_view check, const std::string& wrong, std::string_view text) {
        const auto found = on_each(check, [&] {
            expect(wrong.empty(), "{}", wrong);
            return std::string();
        });
        if (!found.empty()) line(check, text);
    }

    void failed(std::string_view check, ExitCode code, std::string_view text) {
        line(check, fmt::format("FAILED: {}", text));
        if (code_ == ExitCode::Complete) code_ = code;
    }

private:
    Communicator& world_;
    std::vector<std::string> hosts_;
    ExitCode code_ = ExitCode::Complete;
};

void show_ranks(Communicator& world, Report& report, const JobOptions& options) {
    const Placement placement = find_placement(world);
    const MachineRecord machine = this_machine();
    const int cpus = std::accumulate(machine.cpus.begin(), machine.cpus.end(), 0,
                                     [](int sum, std::uint64_t word) { return sum + std::popcount(word); });
    const std::uint64_t share = available_host_memory() / static_cast<std::uint64_t>(placement.local_size);
    const int threads = options.threads > 0 ? options.threads : placement.threads;
    const auto rows =
        gather_strings(world, fmt::format("number {} of {} there, CPUs {}, threads {}, {}, memory {}",
                                          placement.local_rank + 1, placement.local_size, cpus, threads,
                                          kernels::level_of(kernels::this_machine()), bytes_text(share)));
    for (std::size_t rank = 0; rank < rows.size(); ++rank)
        report.line(fmt::format("rank {}", rank), fmt::format("{}: {}", report.hosts()[rank], rows[rank]));
}

// As the job itself would begin; null if it would not.
std::optional<Setup> plan(Communicator& world, Report& report, const JobOptions& options) {
    ModelJob job;
    job.check = [&] { check_job_options(options); };
    job.open = [](const Setup&) {};
    try {
        Setup setup = prepare(world, options, job);
        const MemoryPlan& memory = setup.memory;
        report.line("memory", fmt::format("each rank needs {}: weights {}, workspace {}, KV cache {}",
                                          bytes_text(memory.weights + memory.workspace + memory.kv),
                                          bytes_text(memory.weights), bytes_text(memory.workspace),
                                          bytes_text(memory.kv)));
        return setup;
    } catch (const AgreedError& error) {
        report.failed("model", error.code(), error.what());
        return std::nullopt;
    }
}

// Reads tensors of this rank's slices from all over the model, a small model whole. Reading verifies
// checksums.
std::string read_sample(const Setup& setup) {
    SluiceCheckpoint& checkpoint = *setup.checkpoint;
    const std::vector<TensorSpec> tensors = tensor_catalog(checkpoint.config());
    const Clock::time_point start = Clock::now();
    // A stride that shares no divisor with the number of tensors meets each once.
    std::size_t stride = tensors.size() * 5 / 8 + 1;
    while (std::gcd(stride, tensors.size()) != 1) ++stride;
    const auto slices = static_cast<std::size_t>(setup.shard.count());
    for (std::size_t part = 0; part < slices * tensors.size() && checkpoint.bytes_read() < kSample; ++part) {
        const std::size_t slice = (part % tensors.size() + part / tensors.size()) % slices;
        checkpoint.read(tensors[part * stride % tensors.size()],
                        setup.shard.first() + static_cast<int>(slice));
        note_progress();
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return fmt::format("{} at {:.2f} GB/s", bytes_text(checkpoint.bytes_read()),
                       static_cast<double>(checkpoint.bytes_read()) / 1e9 / std::max(seconds, 1e-9));
}

void check_model(Communicator& world, Report& report, const Setup& setup, const JobOptions& options) {
    const auto ids = gather_strings(world, setup.checkpoint->id());
    report.compare("model",
                   ids[0] == setup.checkpoint->id()
                       ? ""
                       : fmt::format("{} is checkpoint {} here, but {} on rank 0", options.model.string(),
                                     setup.checkpoint->id(), ids[0]),
                   fmt::format("{}: checkpoint {} on every rank", options.model.string(), ids[0]));
    const auto samples = report.on_each("reading", [&] { return read_sample(setup); });
    for (std::size_t rank = 0; rank < samples.size(); ++rank)
        report.line("reading",
                    fmt::format("rank {} (host {}): {}", rank, report.hosts()[rank], samples[rank]));
}

void check_prompts(Communicator& world, Report& report, const JobOptions& options) {
    if (options.prompts.empty()) return;
    const auto found = report.on_each("prompts", [&] {
        if (world.rank() == 0) {
            auto files = prompt_files_of(options);
            std::erase(files, "-");  // standard input is for the job to read
            if (!files.empty())
                open_prompts(files, {.format = options.prompt_format, .field = options.field});
        }
        return std::string();
    });
    if (!found.empty()) report.line("prompts", "can be read");
}

[[noreturn]] void fail_writing(const std::string& path) {
    fail(ExitCode::File, "{}: cannot be written: {}", path, std::generic_category().message(errno));
}

// A file beside the output is written through to the disk, and removed.
std::string try_writing(const std::filesystem::path& output) {
    const auto folder = std::filesystem::absolute(output).parent_path();
    std::string path = (folder / ".sluice-selftest-XXXXXX").string();
    const PosixFile file(::mkstemp(path.data()));
    if (!file.is_open()) fail_writing(path);
    const Clock::time_point start = Clock::now();
    const int problem = write_all(file.fd(), std::string(1U << 20U, 'x'));
    errno = problem;
    const bool written = problem == 0 && ::fsync(file.fd()) == 0;
    const int reason = errno;
    ::unlink(path.c_str());
    errno = reason;
    if (!written) fail_writing(path);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    struct statvfs space {};
    if (::statvfs(folder.c_str(), &space) != 0) fail_writing(folder.string());
    return fmt::format("{} can be written (1 MiB to the disk in {:.1f} ms), {} free", folder.string(),
                       seconds * 1e3, bytes_text(space.f_bavail * space.f_frsize));
}

void check_output(Communicator& world, Report& report, const JobOptions& options) {
    if (options.output.empty() || options.output == "-") return;
    const auto found = report.on_each(
        "output", [&] { return world.rank() == 0 ? try_writing(options.output) : std::string(); });
    if (!found.empty()) report.line("output", found[0]);
}

void compare_clocks(Communicator& world, Report& report) {
    world.barrier();
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto clocks = gather_values(world, std::chrono::duration<double>(now).count());
    const auto [earliest, latest] = std::ranges::minmax_element(clocks);
    const auto rank_of = [&](auto clock) { return static_cast<std::size_t>(clock - clocks.begin()); };
    const double apart = *latest - *earliest;
    report.line("clocks", apart <= kClocksApart
                              ? fmt::format("{:.3f} s apart at most", apart)
                              : fmt::format("WARNING: {:.1f} s apart, on rank {} (host {}) and rank {} (host "
                                            "{}): times in logs will not match",
                                            apart, rank_of(earliest), report.hosts()[rank_of(earliest)],
                                            rank_of(latest), report.hosts()[rank_of(latest)]));
}

// Around the sizes at which the way of summing changes, those of activations, and more than one piece.
constexpr std::size_t kSizes[] = {1, 7, 4096, std::size_t{7168} * 64, (std::size_t{4} << 20U) + 4096};
constexpr std::string_view kSumsAreRight = "sums of 1 to 4198400 floats are right to the bit";

std::string wrong_of_all_sizes(const std::function<std::string(std::size_t)>& wrong_of) {
    std::string wrong;
    for (const std::size_t count : kSizes) {
        const std::string each = wrong_of(count);
        if (wrong.empty()) wrong = each;
    }
    return wrong;
}

// As the job would add what its operations leave in their memory.
void check_device_sums(Communicator& world, Report& report, const Setup& setup) {
    std::optional<Ops> ops;
    const auto work = [&] {
        ops.emplace(ops_of(setup));
        return std::string();
    };
    if (report.on_each("device", work).empty()) return;
    try {
        auto links = links_of(world, setup, *ops);
        const char* const way = links != nullptr                               ? "between linked GPUs"
                                : kernels::works_on_host(setup.compute.family) ? "in the host's memory"
                                                                               : "by way of the host";
        std::unique_ptr<DeviceSums> sums;
        run_together(world, "claiming memory", [&] { sums = make_rank_sums(*ops, world, std::move(links)); });
        const auto wrong_of = [&](std::size_t count) { return wrong_device_sums(world, *ops, *sums, count); };
        report.compare("device sums", wrong_of_all_sizes(wrong_of),
                       fmt::format("{}: {}", way, kSumsAreRight));
    } catch (const AgreedError& error) {
        report.failed("device sums", error.code(), error.what());
    }
}

void check_collectives(Communicator& world, Report& report) {
    const auto wrong_of = [&](std::size_t count) { return wrong_sums(world, count); };
    report.compare("all_reduce", wrong_of_all_sizes(wrong_of), kSumsAreRight);
    constexpr std::size_t kBytes = (std::size_t{1} << 20U) + 3;
    const std::string from_first = wrong_broadcast(world, kBytes, 0);
    const std::string from_last = wrong_broadcast(world, kBytes, world.size() - 1);
    report.compare("broadcast", from_first.empty() ? from_last : from_first,
                   "right from the first and the last rank");
    report.compare("all_gather", wrong_gather(world, 10'007), "right");
}

void time_collectives(Communicator& world, Report& report) {
    if (world.size() == 1) return;
    std::string text;
    for (const std::size_t rows : {1, 16, 64})
        text += fmt::format("{:.0f} us for {} x 7168 floats, ", all_reduce_seconds(world, 7168 * rows) * 1e6,
                            rows);
    report.line("latency", fmt::format("all_reduce {}barrier {:.0f} us", text, barrier_seconds(world) * 1e6));
    constexpr std::size_t kLarge = std::size_t{16} << 20U;
    report.line("bandwidth", fmt::format("all_reduce {:.2f} GB/s at 64 MiB",
                                         kLarge * sizeof(float) / 1e9 / all_reduce_seconds(world, kLarge)));
}

}  // namespace

ExitCode selftest(Communicator& world, const JobOptions& options) {
    const Activity activity("testing");
    Report report(world);
    show_ranks(world, report, options);
    compare_clocks(world, report);
    if (const auto setup = plan(world, report, options)) {
        check_model(world, report, *setup, options);
        check_device_sums(world, report, *setup);
    }
    check_prompts(world, report, options);
    check_output(world, report, options);
    check_collectives(world, report);
    time_collectives(world, report);
    if (world.rank() == 0) print(report.code() == ExitCode::Complete ? "selftest passed" : "selftest FAILED");
    return report.code();
}

}  // namespace sluice
