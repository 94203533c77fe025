// Sums over ranks of values where they lie: of the host's, or of devices', between these themselves, or by
// way of the host where they are not linked. All add in the order of Communicator::all_reduce_sum, so the
// bits are the same, whatever else is summed in the same call.
#pragma once

#include "comm/communicator.hpp"

#include <cstddef>
#include <memory>

namespace sluice {

// What sums ask of a rank's device. Copies and additions are queued behind what is queued there already, and
// are done in that order.
class SumDevice {
public:
    virtual ~SumDevice() = default;
    // Room for so many values in the device's memory, and in memory of the host that copies reach at full
    // speed. Asked for once.
    virtual float* memory(std::size_t count) = 0;
    virtual float* host_memory(std::size_t count) = 0;
    virtual void download(const float* from, float* to, std::size_t count) = 0;
    virtual void upload(const float* from, float* to, std::size_t count) = 0;
    // into[i] = the sum over p of parts[p * each + i], in the order of tree_sum() (comm/tree_sum.hpp).
    virtual void add_parts(const float* parts, int count, std::size_t each, float* into) = 0;
    // Returns when all that was queued is done.
    virtual void wait() = 0;
};

// What moves values between the devices of a group's ranks; queued as SumDevice's calls are, and in turn with
// them. No sums: a library's own come in an order that changes with the size of the call.
class DeviceLinks {
public:
    virtual ~DeviceLinks() = default;
    virtual int rank() const = 0;
    virtual int size() const = 0;
    // As DeviceSums has it: not where the host waits for other ranks.
    virtual bool can_be_recorded() const { return true; }
    // all[r * each ...] = rank r's `mine`, of `each` values; `mine` may stand in its own place in `all`.
    virtual void all_gather(const float* mine, float* all, std::size_t each) = 0;
    // got[r * each ...] = rank r's parts[own rank * each ...].
    virtual void exchange(const float* parts, float* got, std::size_t each) = 0;
};

class DeviceSums {
public:
    virtual ~DeviceSums() = default;
    virtual int ranks() const = 0;
    // Whether sums only queue what can be recorded with the operations around it (Backend::record): no host
    // has a part in them. What is recorded must be on all ranks, and be replayed by all in turn. Recordings
    // must go before the sums: NCCL waits for them to.
    virtual bool can_be_recorded() const = 0;
    // On every rank, before the first sum: what links set up when they are first used is set up now, or fails
    // now, and not while a step runs or is recorded.
    virtual void connect() {}
    // Values in the device's memory. Queued: what is queued later finds the sums.
    virtual void all_reduce_sum(float* inout, std::size_t count) = 0;
    // What was recorded is about to be replayed, with sums in it.
    virtual void expect_replay() {}
    // The host does something else until wait(), and other ranks may wait for that: to the heartbeat, this
    // one does not wait for them.
    virtual void leave() {}
    // Returns when all that was queued is done. From the first sum on until then, this rank may have to wait
    // for another one, here or where it queues or replays more: to the heartbeat that is one collective. So
    // wait here, not in the device's stream, for what comes after a sum.
    virtual void wait() = 0;
};

// `links` must be of `device`.
std::unique_ptr<DeviceSums> make_linked_sums(std::unique_ptr<DeviceLinks> links,
                                             std::unique_ptr<SumDevice> device);
// By way of the host: for ranks whose devices have no links, or who share one. `ranks` must outlive the sums.
std::unique_ptr<DeviceSums> make_staged_sums(Communicator& ranks, std::unique_ptr<SumDevice> device);
// Of values in the host's own memory: nothing is queued. `ranks` must outlive the sums.
std::unique_ptr<DeviceSums> make_host_sums(Communicator& ranks);

}  // namespace sluice
