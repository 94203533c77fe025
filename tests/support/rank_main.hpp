#pragma once

#include "comm/communicator.hpp"

namespace sluice::test {

// All ranks of this test run.
Communicator& world();

}  // namespace sluice::test
