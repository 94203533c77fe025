#include "comm/communicator.hpp"

namespace sluice {

std::unique_ptr<Communicator> make_mpi(int*, char***) {
    fail(ExitCode::Usage,
         "this program was built without MPI and cannot run as one rank of several: start it as a single "
         "process, "
         "or build it again where libopenmpi-dev is installed (SLUICE_MPI=ON)");
}

}  // namespace sluice
