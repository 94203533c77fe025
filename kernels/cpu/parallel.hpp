// Rows over threads.
#pragma once

#include <cstdint>

namespace sluice::kernels::cpu {

// Elements a thread must have before it is worth waking: a parallel region costs some microseconds.
inline constexpr std::int64_t kWorkPerThread = 16384;

// body(begin, end) over parts of [0, rows). Body is a lambda, a type of its caller's own, so that a per-set
// file shares no code with another. Inlined for the same reason.
template <class Body>
[[gnu::always_inline]] inline void over_rows(std::int64_t rows, std::int64_t work_per_row, int threads,
                                             const Body& body) {
    const std::int64_t useful = rows * work_per_row / kWorkPerThread;
    const std::int64_t most = useful < rows ? useful : rows;
    const int parts = static_cast<int>(most < threads ? most : threads);
    if (parts <= 1) {
        body(std::int64_t{0}, rows);
        return;
    }
#pragma omp parallel for num_threads(parts) schedule(static)
    for (int part = 0; part < parts; ++part) body(rows * part / parts, rows * (part + 1) / parts);
}

}  // namespace sluice::kernels::cpu
