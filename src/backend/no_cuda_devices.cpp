#include "backend/devices.hpp"

namespace sluice {

std::vector<Device> cuda_devices() { return {}; }

}  // namespace sluice
