#include "checkpoint/checksum_functions.hpp"

namespace sluice {
const ChecksumLevel kChecksumGeneric{"generic", checksum_whole, checksum_reset, checksum_add, checksum_value};
}
