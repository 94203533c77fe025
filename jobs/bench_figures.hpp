// What sluice-bench measured, as plain data.
#pragma once

#include "backend/op_clock.hpp"
#include "engine/roofline.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

// Repeats of one measurement.
struct Samples {
    std::vector<double> values;
    double median() const;
    double least() const;
    double most() const;
};

// What the ranks together read and multiply at once, a second.
struct Ceilings {
    Samples bandwidth, flops;
};

struct LoadFigure {
    Samples seconds;          // of the slowest rank
    std::uint64_t bytes = 0;  // of the checkpoint, that all ranks took
    std::uint64_t packed = 0;
};

// Where a repeat's time went on rank 0, in seconds: the mean of all repeats, or, where these could not be
// told apart by operation, of another one.
struct Breakdown {
    std::map<std::string, OpClock::Total> operations;
    double communication = 0;
    double rest = 0;
};

// Of so many runs that took these seconds together, and of which `clock` was told. What moved between linked
// GPUs is communication, too.
Breakdown breakdown_of(const OpClock& clock, double seconds, double communicating, std::int64_t runs);

// A case of prefill or decoding, or a job.
struct Figure {
    std::vector<std::pair<std::string, std::int64_t>> labels;  // that tell it from its neighbours
    std::string skipped;                                       // why it was not measured; empty: it was
    std::int64_t tokens = 0, steps = 0;                        // of a repeat
    Samples seconds;                                           // of a repeat
    Samples floor;       // seconds of a repeat at its ceilings, on rank 0
    Ceilings ceilings;   // of a repeat: means of before and after it
    StepWork work;       // of a repeat's steps together, on rank 0
    double reading = 0;  // of all floors together: in steps that memory bounds
    Breakdown breakdown;

    double rate() const;        // tokens a second
    Samples percent() const;    // of the roofline
    const char* bound() const;  // "memory" or "compute", whichever most of the floor is
};

// Everything with one number of threads.
struct BenchRun {
    int threads = 1, ranks = 1, ranks_here = 1;
    Ceilings ceilings;
    LoadFigure load;
    std::vector<Figure> prefill, decode, jobs;
};

struct BenchReport {
    std::string model;    // the checkpoint's folder, without those around it
    std::string summary;  // model_text
    std::string id;
    std::string quantization;
    int slices = 0;
    std::uint64_t parameters = 0, active_parameters = 0;
    std::string processor, level;
    std::vector<BenchRun> runs;
};

}  // namespace sluice
