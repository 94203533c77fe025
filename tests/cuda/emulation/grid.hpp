// Runs a kernel's grid on the host: block after block in a random order, a block's threads as fibers that
// take turns, in a random order, wherever they wait for one another.
//
// What would hang or be undefined on a GPU is an error of the launch: a barrier that not all threads of the
// block reach, or that they reach at different lines; a collective that not all lanes of its mask join; more
// shared memory than there is; a thread that has not waited for the launches before, where its launch may
// overlap with them. Shared memory holds NaN patterns until it is written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <source_location>
#include <string>

namespace sluice::emulation {

struct Index {
    unsigned x = 0, y = 0, z = 0;
};

// What the running thread asks for.
struct Place {
    Index thread, block, block_size, grid;
};
inline Place place;

struct Launch {
    Index grid, block;
    std::size_t dynamic_shared_bytes = 0;
    bool overlaps = false;  // may begin before the one before has ended
};

// Throws std::runtime_error where the kernel does what it must not.
void run_grid(const Launch& launch, const std::function<void()>& thread);

// The rest is for the threads of the grid that runs.

// Ends the launch with an error.
[[noreturn]] void fail_thread(const std::string& message);

void block_barrier(const std::source_location& at);

// Lanes of a warp that meet: each hands over its own data; when all lanes of `mask` have, the last one's
// function does the exchange (data of lanes outside the mask is null), and all go on.
using Lanes = std::array<void*, 32>;
void meet(const char* name, unsigned mask, void* data, void (*exchange)(const Lanes& lanes));
// The number of the running thread in its warp, and in its block.
unsigned lane();
unsigned thread_number();
// Counts the blocks that have run, this one too.
std::uint64_t block_number();

// The block's shared memory of this key; the same for all threads.
void* shared_bytes(const void* key, std::size_t bytes);
void* dynamic_shared();

template <class T>
T& shared() {
    static char key;
    return *static_cast<T*>(shared_bytes(&key, sizeof(T)));
}

// Copies of 16 bytes, of which the last 16 - `bytes` become zero: done when the thread waits for them. Until
// then who still reads what was there before, or does not wait, finds NaN patterns.
void copy_later(void* to, const void* from, int bytes);
void commit_copies();
void wait_copies(int most_pending);
// Copies that were waited for are not there for every kind of access before they are shown.
void show_copies();
bool copies_are_shown();

// Of a launch that may overlap with those before. They have ended: here they run one after the other.
void await_launches_before();
void expect_awaited();

void expect_aligned(const void* p, std::size_t bytes);

}  // namespace sluice::emulation
