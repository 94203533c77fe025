// What a family of kernels runs on: its memory, the stream that operations wait in, and the way between it
// and the host.
#pragma once

#include "backend/memory.hpp"
#include "kernels/execution.hpp"

#include <cstddef>
#include <memory>

namespace sluice {

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
    // As kernels::Execution takes it.
    virtual void* stream() const = 0;
    // Both wait in the stream behind what is there, and what comes later waits for them. The host's side must
    // stay as it is until the stream has been synchronised.
    virtual void upload(const void* from, void* to, std::size_t bytes) const = 0;
    virtual void download(const void* from, void* to, std::size_t bytes) const = 0;
};

// `device`: which one, of cuda_devices(); the families of the host take no notice. ExitCode::Usage, saying
// what is missing, where the family cannot run here.
std::unique_ptr<Backend> make_backend(kernels::Family family, int device);

}  // namespace sluice
