#include "checkpoint/checksum_functions.hpp"

namespace sluice {
const ChecksumLevel kChecksumAvx2{"avx2", checksum_whole, checksum_reset, checksum_add, checksum_value};
}
