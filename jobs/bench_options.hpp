// What the command line of sluice-bench says.
#pragma once

#include "jobs/job_options.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace sluice {

enum class BenchPart { Load, Prefill, Decode, Job };

struct BenchOptions : JobOptions {
    std::vector<BenchPart> only;  // empty: all
    std::vector<int> thread_counts = {0};
    int repeats = 5;
    double most_seconds = 3;  // after which a measurement is not repeated
    std::string stream_memory;
    std::vector<int> prefill = {32, 128, 512, 2048};
    std::vector<int> batches = {1, 4, 16, 64};
    std::vector<int> contexts = {128, 1024, 4096};
    int steps = 4;  // of a repeat of decoding
    int job_requests = 256;
    int job_prefix = 0;  // tokens that all requests of another job begin with; 0: no such job
    std::filesystem::path job;
    std::uint64_t seed = 0;
    std::filesystem::path json;  // empty: none; "-": standard output

    bool measures(BenchPart part) const;
    // Of --stream-memory; 0: the device's own choice.
    std::uint64_t stream_bytes() const;
    // Whether the model computes anything: all but loading.
    bool runs_steps() const;
};

// Declares the options on `app`; parsing then fills `options`, which must outlive `app`.
void add_bench_options(CLI::App& app, BenchOptions& options);

// What no single option can tell: ExitCode::Usage.
void check_bench_options(const BenchOptions& options);

}  // namespace sluice
