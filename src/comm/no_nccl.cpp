#include "comm/nccl.hpp"

namespace sluice {

std::unique_ptr<DeviceLinks> make_nccl_links(Communicator&, int, void*) {
    fail(ExitCode::Usage,
         "this program was built without NCCL: take --comm mpi, or build it again where NCCL is installed "
         "(SLUICE_NCCL=ON)");
}

}  // namespace sluice
