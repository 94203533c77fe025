// Work over threads. What a body throws on any thread comes out of the call, the first of several.
#pragma once

#include <cstdint>

namespace sluice::kernels::cpu {

// A body as plain pointers: the parallel regions stand in parallel.cpp alone, so that a per-set file holds
// neither them nor the code that carries exceptions, and shares nothing with another set's.
using Run = void (*)(const void* body, std::int64_t begin, std::int64_t end);
void run_rows(std::int64_t rows, std::int64_t work_per_row, int threads, Run run, const void* body);
void run_tasks(std::int64_t count, int threads, Run run, const void* body);
void run_neighbours(std::int64_t count, int threads, Run run, const void* body);

// body(begin, end) over parts of [0, rows), as many as are worth waking a thread for.
template <class Body>
[[gnu::always_inline]] inline void over_rows(std::int64_t rows, std::int64_t work_per_row, int threads,
                                             const Body& body) {
    const Run run = [](const void* it, std::int64_t begin, std::int64_t end) {
        (*static_cast<const Body*>(it))(begin, end);
    };
    run_rows(rows, work_per_row, threads, run, &body);
}

// task(i) for every i of [0, count), each on the next thread that is free.
template <class Task>
[[gnu::always_inline]] inline void over_tasks(std::int64_t count, int threads, const Task& task) {
    const Run run = [](const void* it, std::int64_t i, std::int64_t) { (*static_cast<const Task*>(it))(i); };
    run_tasks(count, threads, run, &task);
}

// The same, but a thread takes tasks beside one another, for one may have prefetched for the next, until only
// others' are left.
template <class Task>
[[gnu::always_inline]] inline void over_neighbours(std::int64_t count, int threads, const Task& task) {
    const Run run = [](const void* it, std::int64_t i, std::int64_t) { (*static_cast<const Task*>(it))(i); };
    run_neighbours(count, threads, run, &task);
}

}  // namespace sluice::kernels::cpu
