#include "kernels/cpu/store_rows.hpp"

namespace sluice::kernels::cpu {
template void run_store_rows<Avx2>(const StoreRowsArgs&, const Execution&);
}
