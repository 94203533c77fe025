#include "core/signals.hpp"

#include <csignal>
#include <initializer_list>

namespace sluice {
namespace {

volatile std::sig_atomic_t caught = 0;
volatile std::sig_atomic_t interrupted = 0;

void remember(int signal) { caught = signal; }
void interrupt(int) { interrupted = 1; }

void handle(int signal, void (*handler)(int), int flags) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART | flags;
    sigaction(signal, &action, nullptr);
}

}  // namespace

void catch_stop_signals() {
    for (const int signal : {SIGTERM, SIGUSR1, SIGUSR2}) handle(signal, remember, 0);
    handle(SIGINT, remember, SA_RESETHAND);
    std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is an error of the output, with its message
}

int stop_signal() { return caught; }

void keep_interrupts() { handle(SIGINT, interrupt, 0); }

bool take_interrupt() {
    const bool came = interrupted != 0;
    interrupted = 0;
    return came;
}

}  // namespace sluice
