#include "kernels/cpu/store_rows.hpp"

namespace sluice::kernels::cpu {
template void run_store_rows<Generic>(const StoreRowsArgs&, const Execution&);
}
