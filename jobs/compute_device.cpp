#include "jobs/compute_device.hpp"

#include "backend/devices.hpp"
#include "comm/collectives.hpp"
#include "comm/nccl.hpp"
#include "comm/shared_devices.hpp"
#include "core/error.hpp"
#include "kernels/kernel.hpp"

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

// Before anything that only some of them would do: the lines of --config may differ between machines.
void require_one_wish(Communicator& world, const std::string& device, const std::string& comm) {
    const auto wishes = gather_strings(world, fmt::format("--device {} --comm {}", device, comm));
    for (std::size_t rank = 1; rank < wishes.size(); ++rank) {
        if (wishes[rank] == wishes[0]) continue;
        throw AgreedError(
            ExitCode::Usage,
            fmt::format("the ranks have different options (is the --config file the same on all machines?): "
                        "rank 0 has {}, rank {} has {}",
                        wishes[0], rank, wishes[rank]));
    }
}

// The first rank's obstacle, with its number unless all have the same; empty: nobody has one.
std::string obstacle_of_all(Communicator& world, const std::string& mine) {
    const std::vector<std::string> obstacles = gather_strings(world, mine);
    for (std::size_t rank = 0; rank < obstacles.size(); ++rank) {
        if (obstacles[rank].empty()) continue;
        const bool everywhere = std::ranges::count(obstacles, obstacles[rank]) == std::ssize(obstacles);
        return everywhere ? obstacles[rank] : fmt::format("rank {}: {}", rank, obstacles[rank]);
    }
    return "";
}

ComputeDevice cpu(const Placement& placement) {
    ComputeDevice chosen;
    chosen.sharing = placement.local_size;
    chosen.level = chosen.name = kernels::level_of(kernels::this_machine());
    chosen.to_level =
        "set SLUICE_ISA to a level that all machines have (generic, avx2, avx512 or avx512_bf16)";
    return chosen;
}

// Where the launcher lets each rank see a device of its own, all have the number 0: so who shares one is told
// by its machine and place there.
ComputeDevice gpu(Communicator& world, const std::string& comm, const Placement& placement) {
    const std::vector<Device> devices = cuda_devices();
    expect(!devices.empty(), "the devices are gone");
    const std::size_t index = static_cast<std::size_t>(placement.local_rank) % devices.size();
    const auto all = gather_values(world, this_device(devices[index].bus));
    ComputeDevice chosen;
    chosen.family = kernels::Family::Cuda;
    chosen.device = static_cast<int>(index);
    chosen.sharing = ranks_sharing(all, world.rank());
    chosen.level = devices[index].architecture;
    chosen.to_level = "use GPUs of one architecture, or set SLUICE_ISA=mma_sync on all machines or on none";
    chosen.name = devices[index].name;
    if (comm == "self" || comm == "mpi") return chosen;
    const std::string obstacle = obstacle_of_all(world, nccl_obstacle(all));
    if (comm == "nccl" && !obstacle.empty())
        throw AgreedError(ExitCode::Usage,
                          fmt::format("--comm nccl: {}; --comm mpi adds by way of the host", obstacle));
    chosen.linked = world.size() > 1 && obstacle.empty();
    if (world.size() > 1) chosen.unlinked = obstacle;
    return chosen;
}

}  // namespace

ComputeDevice choose_compute_device(Communicator& world, const std::string& device, const std::string& comm,
                                    const Placement& placement) {
    require_one_wish(world, device, comm);
    if (device == "cuda") {
        std::string obstacle = obstacle_of_all(world, cuda_obstacle());
        ComputeDevice chosen;
        if (obstacle.empty()) {
            chosen = gpu(world, comm, placement);
            obstacle = obstacle_of_all(world, cuda_obstacle(chosen.device));
        }
        if (obstacle.empty()) {
            if (kernels::this_machine().wgmma()) chosen.level += "a";  // its products round otherwise
            chosen.name += fmt::format(" ({})", chosen.level);
            return chosen;
        }
        throw AgreedError(ExitCode::Usage, fmt::format("--device cuda: no GPU to compute on: {}", obstacle));
    }
    if (comm == "nccl") {
        throw AgreedError(ExitCode::Usage,
                          fmt::format("--comm nccl links GPUs, and with --device {} the ranks compute on the "
                                      "CPU: leave it out, or take --device cuda",
                                      device));
    }
    ComputeDevice chosen = cpu(placement);
    if (device == "cpu") return chosen;
    // The kernels for GPUs are proven by emulation alone: nobody gets them unasked.
    const std::string obstacle = obstacle_of_all(world, cuda_obstacle());
    chosen.without =
        obstacle.empty() ? "GPUs are used with --device cuda only, while that is untried" : obstacle;
    return chosen;
}

}  // namespace sluice
