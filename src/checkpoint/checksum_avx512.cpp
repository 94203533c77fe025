#include "checkpoint/checksum_functions.hpp"

namespace sluice {
const ChecksumLevel kChecksumAvx512{"avx512", checksum_whole, checksum_reset, checksum_add, checksum_value};
}
