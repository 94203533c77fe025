// What is built from a Communicator's few calls.
#pragma once

#include "comm/communicator.hpp"

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace sluice {

// The root's bytes, whatever their number, to every rank.
void broadcast_bytes(Communicator& comm, std::vector<std::byte>& bytes, int root);

// Every rank's value, in rank order, on every rank.
template <class T>
std::vector<T> gather_values(Communicator& comm, const T& mine) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::vector<T> all(static_cast<std::size_t>(comm.size()));
    comm.all_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
    return all;
}

// Every rank's string, in rank order, on every rank.
std::vector<std::string> gather_strings(Communicator& comm, std::string_view mine);

// An error that every rank of a group knows of and throws at the same place.
class AgreedError : public Error {
public:
    using Error::Error;
};

// Every rank runs `work`, which uses no collective of `comm`; then the ranks agree on how it went. If any
// failed, all throw one AgreedError: the lowest failing rank's code and message, with "rank 3 of 8: " before
// it unless every rank failed with the same words. `phase` ("reading the checkpoint") explains errors that
// are not ours, such as bad_alloc.
void run_together(Communicator& comm, std::string_view phase, const std::function<void()>& work);

// How a job ends: the exit code for main(), after `job` returned it or all ranks agreed on an error, which
// rank 0 alone logs. An error that only this rank knows of is logged with its rank and aborts the job.
int run_job(Communicator& world, const std::function<ExitCode()>& job);

}  // namespace sluice
