// SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 ask for a stop at the next moment that suits; a second SIGINT ends the
// program at once.
#pragma once

namespace sluice {

void catch_stop_signals();

// The signal that asked for a stop, or 0.
int stop_signal();

// From now on SIGINT asks for no stop and ends nothing: take_interrupt() tells of it.
void keep_interrupts();

// Whether SIGINT came since the last call.
bool take_interrupt();

}  // namespace sluice
