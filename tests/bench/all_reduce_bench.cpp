// Sums over the ranks: through shared memory, by messages, and MPI's own, which promises no order.
// Microseconds a sum, the median of many, the three taken in turn: mpirun -n 2 --bind-to core
// all_reduce_bench [SUMS]
#include "comm/collectives.hpp"

#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <fmt/core.h>
#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <vector>

namespace {

using namespace sluice;
using Clock = std::chrono::steady_clock;
using Sum = std::function<void(std::span<float>)>;

double microseconds(Communicator& world, const Sum& sum, std::span<float> values) {
    world.barrier();
    const Clock::time_point start = Clock::now();
    sum(values);
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double median(std::vector<double> times) {
    const auto middle = times.begin() + std::ssize(times) / 2;
    std::ranges::nth_element(times, middle);
    return *middle;
}

// The world's ranks without shared memory.
std::unique_ptr<Communicator> by_messages(Communicator& world) {
    ::setenv("SLUICE_SHARED_MEMORY", "off", 1);
    auto messages = world.split(0, world.rank());
    ::unsetenv("SLUICE_SHARED_MEMORY");
    return messages;
}

ExitCode measure(Communicator& world, int repeats) {
    const auto messages = by_messages(world);
    const std::array<Sum, 3> sums = {
        [&](std::span<float> values) { world.all_reduce_sum(values); },
        [&](std::span<float> values) { messages->all_reduce_sum(values); },
        [](std::span<float> values) {
            MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_FLOAT, MPI_SUM,
                          MPI_COMM_WORLD);
        },
    };
    if (world.rank() == 0)
        fmt::print("{:>9} {:>10} {:>10} {:>14}\n", "bytes", "world", "messages", "MPI_Allreduce");
    for (std::size_t bytes = 1024; bytes <= (std::size_t{4} << 20); bytes *= 2) {
        std::vector<float> values(bytes / sizeof(float), 1.0F);
        std::array<std::vector<double>, 3> times;
        for (int repeat = 0; repeat < repeats; ++repeat) {
            for (std::size_t way = 0; way < sums.size(); ++way) {
                std::ranges::fill(values, 1.0F);
                times[way].push_back(microseconds(world, sums[way], values));
            }
        }
        if (world.rank() == 0)
            fmt::print("{:>9} {:>10.1f} {:>10.1f} {:>14.1f}\n", bytes, median(times[0]), median(times[1]),
                       median(times[2]));
    }
    return ExitCode::Complete;
}

}  // namespace

int main(int argc, char** argv) {
    const auto world = make_world(WorldKind::Mpi, &argc, &argv);
    const int repeats = argc > 1 ? std::max(1, std::atoi(argv[1])) : 500;
    return run_job(*world, [&] { return measure(*world, repeats); });
}
