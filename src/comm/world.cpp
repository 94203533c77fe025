#include "comm/communicator.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace sluice {
namespace {

#ifdef NDEBUG
constexpr bool kCheckCalls = false;
#else
constexpr bool kCheckCalls = true;
#endif

// How many processes the launcher started, as far as it says; 1 otherwise.
int launched_ranks() {
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
        if (const char* value = std::getenv(name)) return std::max(1, std::atoi(value));
    return 1;
}

}  // namespace

bool launched_by_mpi() {
    constexpr std::array names = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"};
    return std::ranges::any_of(names, [](const char* name) { return std::getenv(name) != nullptr; });
}

std::unique_ptr<Communicator> make_world(WorldKind kind, int* argc, char*** argv) {
    const bool mpi = kind == WorldKind::Mpi || (kind == WorldKind::Auto && launched_by_mpi());
    auto world = mpi ? make_mpi(argc, argv) : make_self();
    // Every one of them would take itself for the whole job and write the same output.
    require(
        world->size() > 1 || launched_ranks() == 1, ExitCode::Usage,
        "the launcher started {} processes that do not see each other: start them with Open MPI's mpirun, or "
        "with srun --mpi=pmix",
        launched_ranks());
    return kCheckCalls ? make_checked(std::move(world)) : std::move(world);
}

}  // namespace sluice
