// Which cases of sluice-bench a prepared model has room for, and what they use of its cache.
#pragma once

#include "jobs/bench_options.hpp"
#include "jobs/bench_requests.hpp"
#include "jobs/model_job.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

// The same on every rank. Everything must outlive it.
class BenchRoom {
public:
    BenchRoom(const BenchOptions& options, const Setup& setup, const std::vector<BenchRequest>& requests)
        : options_(options), setup_(setup), requests_(requests) {}

    // What keeps `sequences` of `length` tokens from running at once; empty: nothing.
    std::string obstacle(int sequences, int length) const;
    // Rows of a step of prompts, and how many of a length fill it side by side.
    int prompt_rows() const;
    int prompts_of(int length) const;
    // Prompts to warm up with: as many as fill a step, or the cache.
    int warming_length() const;
    int warming_prompts() const;
    // Of the cache, the first so many pages are used by all that is measured.
    std::int64_t pages() const;

private:
    std::int64_t pages_of_case(int sequences, int length) const;

    const BenchOptions& options_;
    const Setup& setup_;
    const std::vector<BenchRequest>& requests_;
};

}  // namespace sluice
