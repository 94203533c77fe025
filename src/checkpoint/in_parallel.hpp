// The same work on many things, on several threads.
#pragma once

#include <cstddef>
#include <functional>

namespace sluice {

// Calls work(thing, thread) for each thing in [0, count) once, about in this order; threads are numbered from
// 0. After an exception nothing more is begun, and the first one is thrown.
void in_parallel(std::size_t count, int threads,
                 const std::function<void(std::size_t thing, std::size_t thread)>& work);

// 0 becomes one for each processor that this process may use.
int usable_threads(int wanted);

}  // namespace sluice
