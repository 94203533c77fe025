#include "cuda/emulation/fiber.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// Saves what a function must keep on the stack, puts the stack pointer into *from, and goes on where `to` was
// saved likewise.
extern "C" void sluice_switch_stacks(void** from, void* to);

#if defined(__x86_64__)
asm(R"(
.text
.type sluice_switch_stacks, @function
sluice_switch_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size sluice_switch_stacks, .-sluice_switch_stacks
)");
#elif defined(__aarch64__)
asm(R"(
.text
.type sluice_switch_stacks, %function
sluice_switch_stacks:
    sub sp, sp, #160
    stp x19, x20, [sp]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x2, sp
    str x2, [x0]
    mov sp, x1
    ldp x19, x20, [sp]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
.size sluice_switch_stacks, .-sluice_switch_stacks
)");
#else
#error "write sluice_switch_stacks for this processor"
#endif

namespace sluice::emulation {
namespace {

constexpr std::size_t kStackBytes = 128 * 1024;

Fiber* running = nullptr;
void* host_at = nullptr;
#ifdef __SANITIZE_ADDRESS__
const void* host_stack = nullptr;
std::size_t host_stack_bytes = 0;
#endif

}  // namespace

Fiber::Fiber() {
    void* memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    stack_ = static_cast<std::byte*>(memory);
}

Fiber::~Fiber() { munmap(stack_, kStackBytes); }

void Fiber::start(void (*entry)()) {
    entry_ = entry;
    fake_stack_ = nullptr;
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(stack_, kStackBytes);  // what runs on it may have been abandoned
#endif
    // What sluice_switch_stacks takes from the stack: registers, then where to go on.
    void** top = reinterpret_cast<void**>(stack_ + kStackBytes);
#if defined(__x86_64__)
    *--top = nullptr;  // where enter() would return to; it leaves the stack aligned as after a call
    *--top = reinterpret_cast<void*>(&Fiber::enter);
    top -= 6;
#else
    top -= 20;
    top[11] = reinterpret_cast<void*>(&Fiber::enter);
#endif
    at_ = top;
}

void Fiber::enter() {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &host_stack, &host_stack_bytes);
#endif
    running->entry_();
}

void Fiber::resume() {
    running = this;
#ifdef __SANITIZE_ADDRESS__
    void* fake_stack = nullptr;
    __sanitizer_start_switch_fiber(&fake_stack, stack_, kStackBytes);
#endif
    sluice_switch_stacks(&host_at, at_);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

void Fiber::suspend([[maybe_unused]] bool last) {
    Fiber& self = *running;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(last ? nullptr : &self.fake_stack_, host_stack, host_stack_bytes);
#endif
    sluice_switch_stacks(&self.at_, host_at);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(self.fake_stack_, &host_stack, &host_stack_bytes);
#endif
}

}  // namespace sluice::emulation
