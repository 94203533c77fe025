// What is built from a Communicator's few calls.
#pragma once

#include "comm/communicator.hpp"

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// The root's bytes, whatever their number, to every rank.
void broadcast_bytes(Communicator& comm, std::vector<std::byte>& bytes, int root);

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
