// Threads of a kernel on one thread of the host: each has a stack of its own and runs until it hands over.
#pragma once

#include <cstddef>

namespace sluice::emulation {

class Fiber {
public:
    Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;
    ~Fiber();

    // Forgets what ran before; the next resume() calls entry(), which must end with a last suspend().
    void start(void (*entry)());
    // From the host: runs the fiber until it suspends itself.
    void resume();
    // From the fiber that runs. `last`: it will not be resumed.
    static void suspend(bool last = false);

private:
    static void enter();

    std::byte* stack_;
    void* at_ = nullptr;          // the stack pointer while suspended
    void* fake_stack_ = nullptr;  // AddressSanitizer's
    void (*entry_)() = nullptr;
};

}  // namespace sluice::emulation
