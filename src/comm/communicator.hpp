// Ranks that work together: one process, threads of one process, or processes under MPI.
#pragma once

#include "core/error.hpp"

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace sluice {

// All ranks of a group make the same calls in the same order with the same sizes. Not thread-safe: one thread
// of a rank calls at a time. Errors of the transport are ExitCode::Internal.
class Communicator {
public:
    Communicator() = default;
    Communicator(const Communicator&) = delete;
    Communicator& operator=(const Communicator&) = delete;
    virtual ~Communicator() = default;

    virtual int rank() const = 0;
    virtual int size() const = 0;

    // Sums over the ranks; every rank gets the same bits. The order is the fixed bottom-up binary tree over
    // rank numbers, ((r0+r1)+(r2+r3))+...; an odd one out at a level passes up unchanged.
    virtual void all_reduce_sum(std::span<float> inout) = 0;

    // all = every rank's `mine` in rank order; all.size() is size() * mine.size().
    virtual void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;

    virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
    virtual void barrier() = 0;

    // Ends the whole job with this exit code, whatever the other ranks are doing. Ranks that are threads
    // cannot end alone: there it throws Aborted, and so does every call the other ranks are in or make later.
    [[noreturn]] void abort(int code) {
        end_job(code);
        std::terminate();  // never reached: the compiler cannot know that of a virtual function
    }

    // The ranks with the same color (>= 0) form a group, ordered by key and then by rank.
    virtual std::unique_ptr<Communicator> split(int color, int key) = 0;

protected:
    // abort(): does not return.
    virtual void end_job(int code) = 0;
};

// A rank that is a thread called abort().
class Aborted : public Error {
public:
    using Error::Error;
};

// One rank.
std::unique_ptr<Communicator> make_self();

// `size` ranks for `size` threads of this process.
std::vector<std::unique_ptr<Communicator>> make_threads(int size);

// Runs `work` on `size` ranks, each a thread, and waits for all. If ranks throw, the others are aborted and
// the error of the lowest rank that failed by itself is thrown.
void run_on_threads(int size, const std::function<void(Communicator&)>& work);

// All ranks of the MPI job. Call once, before anything else of MPI. The last word of MPI (finalize) is said
// when it is destroyed, except during unwinding: a rank that fails must not wait for the others.
// Ranks of one machine use memory they share unless SLUICE_SHARED_MEMORY=off (comm/shared_sums.hpp); results
// are the same. ExitCode::Usage when built without MPI.
std::unique_ptr<Communicator> make_mpi(int* argc, char*** argv);

// Whether an MPI launcher (mpirun, or srun with PMI) started this process.
bool launched_by_mpi();

enum class WorldKind { Auto, Self, Mpi };

// What a program's main() wants. Auto: the MPI job's ranks under a launcher, else one rank without a call to
// MPI. Debug builds add make_checked. ExitCode::Usage when a launcher started several processes that do not
// see each other.
std::unique_ptr<Communicator> make_world(WorldKind kind, int* argc, char*** argv);

// Compares call, size and root over the ranks before each collective; a disagreement throws on every rank,
// naming the ranks and their calls (ExitCode::Internal). Costs one more small collective a call.
std::unique_ptr<Communicator> make_checked(Communicator& inner);
std::unique_ptr<Communicator> make_checked(std::unique_ptr<Communicator> inner);

// Notes each call's beginning and end in the state of this process (comm/rank_state.hpp), groups' calls too.
// One a process: ranks that are threads would share the notes.
std::unique_ptr<Communicator> make_watched(std::unique_ptr<Communicator> inner);

}  // namespace sluice
