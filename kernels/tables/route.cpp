#include "kernels/cpu/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/run.hpp"
#include "kernels/tables/fits.hpp"

#include <array>

namespace sluice::kernels {

template <>
std::span<const Kernel<RouteArgs>> kernels<RouteArgs>() {
    using Entry = Kernel<RouteArgs>;
    static constexpr std::array table = {
        Entry{"cpu", Family::Cpu, &anywhere, &cpu::run_route},
        Entry{"reference", Family::Reference, &anywhere, &reference::run_route},
    };
    return table;
}

}  // namespace sluice::kernels
