// What every communicator must do. Each case runs on all ranks at once and states its expectations with
// gtest.
#pragma once

#include "comm/communicator.hpp"

#include <ostream>
#include <span>

namespace sluice::test {

struct CollectiveCase {
    const char* name;
    void (*run)(Communicator&);
};

inline void PrintTo(const CollectiveCase& one, std::ostream* out) { *out << one.name; }

std::span<const CollectiveCase> collective_cases();

}  // namespace sluice::test
