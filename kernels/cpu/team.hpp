// Threads that stay between calls, so that a parallel region costs less than a microsecond: a decode step has
// hundreds of them.
#pragma once

namespace sluice::kernels::cpu {

// A part of a region: `thread` counts from 0, the caller.
using Part = void (*)(const void* body, int thread);

// Runs part(body, i) for every i of [0, threads) at the same time, 0 on the calling thread, and returns when
// all have returned. Parts must not throw. Every calling thread has a team of its own; it grows to the most
// threads asked for, and ends with its caller. Inside a part, a region runs on its caller alone, one part
// after another. Throws std::system_error where the system gives no more threads; no part has run then. A
// forked process must not call this before it starts another program: its parent's team does not come along.
void run_team(int threads, Part part, const void* body);

}  // namespace sluice::kernels::cpu
