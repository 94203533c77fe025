// How fast an emulation is means nothing.
#include "bench/device.hpp"

namespace sluice::bench {

double device_read_rate() { return 1; }
double device_copy_rate() { return 1; }
double device_multiply_rate() { return 1; }

}  // namespace sluice::bench
