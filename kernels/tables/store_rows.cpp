#include "kernels/cpu/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/reference/run.hpp"
#include "kernels/tables/fits.hpp"

#include <array>

namespace sluice::kernels {

template <>
std::span<const Kernel<StoreRowsArgs>> kernels<StoreRowsArgs>() {
    using Entry = Kernel<StoreRowsArgs>;
    static constexpr std::array table = {
        Entry{"cpu", Family::Cpu, &anywhere, &cpu::run_store_rows},
        Entry{"reference", Family::Reference, &anywhere, &reference::run_store_rows},
    };
    return table;
}

}  // namespace sluice::kernels
