// What the host sees of values in the operations' memory.
#pragma once

#include "backend/ops.hpp"

#include <span>

namespace sluice {

class HostCopy {
public:
    // `ops` must outlive it.
    explicit HostCopy(const Ops& ops) : ops_(ops) {}

    // The values of a dense float32 view, when what was queued is done: the view itself where operations work
    // on the host's memory, else a copy, until the next call.
    std::span<float> of(View view);
    // Those values, as the host changed them, back to the view that they came from.
    void give_back(View view) const;

private:
    const Ops& ops_;
    Tensor copy_;  // empty where there is none
};

}  // namespace sluice
