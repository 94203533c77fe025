#include "jobs/signals.hpp"

#include <csignal>
#include <initializer_list>

namespace sluice {
namespace {

volatile std::sig_atomic_t caught = 0;

void remember(int signal) { caught = signal; }

}  // namespace

void catch_stop_signals() {
    for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGUSR2}) {
        struct sigaction action {};
        action.sa_handler = remember;
        action.sa_flags = SA_RESTART | (signal == SIGINT ? SA_RESETHAND : 0);
        sigaction(signal, &action, nullptr);
    }
    std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is an error of the output, with its message
}

int stop_signal() { return caught; }

}  // namespace sluice
