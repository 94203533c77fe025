// Checks in a minute what a long job rests on: the ranks, their memory, the files, and the sums between them
// and between what they compute on.
#pragma once

#include "comm/communicator.hpp"
#include "core/error.hpp"
#include "jobs/job_options.hpp"

namespace sluice {

// Instead of the job. Rank 0 prints a line a check on standard output; a failure names rank and host. Prompts
// and output are checked where they are given; nothing of them is changed. Returns the first failure's code
// on every rank.
ExitCode selftest(Communicator& world, const JobOptions& options);

}  // namespace sluice
