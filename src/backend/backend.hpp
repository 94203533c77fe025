// What a family of kernels runs on: its memory, the stream that operations wait in, and the way between it
// and the host.
#pragma once

#include "backend/ceilings.hpp"
#include "backend/memory.hpp"
#include "backend/op_clock.hpp"
#include "kernels/execution.hpp"

#include <cstddef>
#include <functional>
#include <memory>

namespace sluice {

// Operations that were recorded, to be queued by one call as often as one likes.
class Recording {
public:
    Recording() = default;
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;
    virtual ~Recording() = default;

    // Queues them behind what is in the stream that they were recorded from.
    virtual void replay() const = 0;
};

// Used by the thread that made it.
class Backend {
public:
    Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend() = default;

    // What operations work on.
    virtual Memory& memory() const = 0;
    // Of the host, which copies to and from `memory` reach at full speed; the same where operations work on
    // the host's.
    virtual Memory& staging() const = 0;
    // Claims so many bytes for the weights that are packed while the answer lives; null where packing claims
    // them itself.
    virtual std::shared_ptr<void> claim_for_weights(std::size_t /*bytes*/) const { return nullptr; }
    // As kernels::Execution takes it.
    virtual void* stream() const = 0;
    // Both wait in the stream behind what is there, and what comes later waits for them. The host's side must
    // stay as it is until the stream has been synchronised.
    virtual void upload(const void* from, void* to, std::size_t bytes) const = 0;
    virtual void download(const void* from, void* to, std::size_t bytes) const = 0;
    // What `queue` queues, kept with the sizes and addresses of now instead of done. It must neither wait for
    // the stream nor claim or release memory: ExitCode::Internal names the call. Null, and nothing is
    // called, where operations are done when they return.
    virtual std::unique_ptr<Recording> record(const std::function<void()>& queue) const = 0;
    // Tells `clock`, which must outlive it, of the operations in the stream.
    virtual std::unique_ptr<OpTimer> timer(OpClock& clock) const = 0;
    // `bytes`: to read; 0: as many as no cache holds much of. `threads`: of the host's families.
    virtual std::unique_ptr<CeilingMeter> ceilings(std::size_t bytes, int threads) const = 0;
};

// `device`: which one, of cuda_devices(); the families of the host take no notice. ExitCode::Usage, saying
// what is missing, where the family cannot run here.
std::unique_ptr<Backend> make_backend(kernels::Family family, int device);

}  // namespace sluice
