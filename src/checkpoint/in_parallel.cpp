#include "checkpoint/in_parallel.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace sluice {

void in_parallel(std::size_t count, int threads,
                 const std::function<void(std::size_t thing, std::size_t thread)>& work) {
    std::atomic<std::size_t> next = 0;
    std::mutex mutex;
    std::exception_ptr problem;
    const auto run = [&](std::size_t thread) {
        try {
            for (std::size_t thing = next++; thing < count; thing = next++) work(thing, thread);
        } catch (...) {
            const std::lock_guard lock(mutex);
            if (!problem) problem = std::current_exception();
            next = count;
        }
    };
    {
        std::vector<std::jthread> others;
        for (int thread = 1; thread < threads; ++thread)
            others.emplace_back(run, static_cast<std::size_t>(thread));
        run(0);
    }
    if (problem) std::rethrow_exception(problem);
}

int usable_threads(int wanted) {
    if (wanted > 0) return wanted;
    cpu_set_t own;
    // Fails where there are more processors than the set has room for.
    if (::sched_getaffinity(0, sizeof own, &own) == 0) return CPU_COUNT(&own);
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace sluice
