#include "jobs/compute_device.hpp"

#include "backend/devices.hpp"
#include "comm/collectives.hpp"
#include "core/error.hpp"
#include "kernels/kernel.hpp"

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

ComputeDevice cpu(const Placement& placement) {
    const std::string level(kernels::level_of(kernels::this_machine()));
    return {kernels::Family::Cpu, 0, placement.local_size, level, level, ""};
}

// Where the launcher lets each rank see a device of its own, all have the number 0: so who shares one is told
// by its machine and place there.
ComputeDevice gpu(Communicator& world, const Placement& placement) {
    const std::vector<Device> devices = cuda_devices();
    expect(!devices.empty(), "the devices are gone");
    const std::size_t index = static_cast<std::size_t>(placement.local_rank) % devices.size();
    const Device& mine = devices[index];
    const MachineRecord here = this_machine();
    const std::string place = fmt::format("{} {}", here.machine.data(), mine.bus);
    const auto sharing = std::ranges::count(gather_strings(world, place), place);
    return {kernels::Family::Cuda,
            static_cast<int>(index),
            static_cast<int>(sharing),
            mine.architecture,
            mine.name,
            ""};
}

// The first rank's that has one; empty: none has.
std::string first_of(Communicator& world, const std::string& obstacle) {
    const std::vector<std::string> obstacles = gather_strings(world, obstacle);
    for (std::size_t rank = 0; rank < obstacles.size(); ++rank) {
        if (obstacles[rank].empty()) continue;
        return obstacles.size() == 1 ? obstacles[rank] : fmt::format("rank {}: {}", rank, obstacles[rank]);
    }
    return "";
}

}  // namespace

ComputeDevice choose_compute_device(Communicator& world, const std::string& device,
                                    const Placement& placement) {
    if (device == "cpu") return cpu(placement);
    std::string obstacle = first_of(world, cuda_obstacle());
    if (device == "cuda") {
        ComputeDevice chosen;
        if (obstacle.empty()) {
            chosen = gpu(world, placement);
            obstacle = first_of(world, cuda_obstacle(chosen.device));
        }
        if (obstacle.empty()) return chosen;
        throw AgreedError(ExitCode::Usage, fmt::format("--device cuda: no GPU to compute on: {}", obstacle));
    }
    // The kernels for GPUs are proven by emulation alone: nobody gets them unasked.
    ComputeDevice chosen = cpu(placement);
    chosen.without =
        obstacle.empty() ? "GPUs are used with --device cuda only, while that is untried" : obstacle;
    return chosen;
}

}  // namespace sluice
