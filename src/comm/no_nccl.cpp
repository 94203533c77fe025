#include "comm/nccl.hpp"

namespace sluice {

std::string nccl_obstacle(std::span<const DeviceRecord>) {
    return "this program was built without NCCL (SLUICE_NCCL)";
}

std::unique_ptr<DeviceLinks> make_nccl_links(Communicator&, void*) {
    fail(ExitCode::Internal, "GPUs are to be linked, but {}", nccl_obstacle({}));
}

}  // namespace sluice
