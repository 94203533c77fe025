// Work that recurs with other values: queued once operation by operation, then recorded, then by one call.
#pragma once

#include "backend/ops.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <vector>

namespace sluice {

class Recurring {
public:
    // Stands for all that the host puts into the operations: sizes and addresses. Work of equal keys differs
    // only in values that lie in the operations' memory.
    using Key = std::vector<std::int64_t>;

    // `ops` must outlive it, and Ops::can_record(). Of more than `most` keys, those used last are known.
    Recurring(const Ops& ops, std::size_t most) : ops_(ops), most_(most) {}

    // Queues the work of this key. `queue` is called when the key is new: then kernels are loaded and scratch
    // memory grows, which cannot be recorded. It is called once more, to be recorded, and then no more.
    void run(Key key, const std::function<void()>& queue);

    // The keys that are known.
    std::size_t size() const { return entries_.size(); }
    // From here on none is.
    void forget() { entries_.clear(); }

private:
    struct Entry {
        Key key;
        const void* workspace = nullptr;  // that the operations had
        std::unique_ptr<Recording> recording;
    };

    const Ops& ops_;
    std::size_t most_;
    std::list<Entry> entries_;  // the one used last comes first
};

}  // namespace sluice
