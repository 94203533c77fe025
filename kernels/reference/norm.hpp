// What RMSNorm multiplies a row by, gain aside.
#pragma once

#include <cmath>
#include <cstdint>

namespace sluice::kernels::reference {

inline double norm_factor(const float* x, std::int64_t dim, float eps) {
    double squares = 0;
    for (std::int64_t i = 0; i < dim; ++i) squares += static_cast<double>(x[i]) * x[i];
    return 1 / std::sqrt(squares / static_cast<double>(dim) + eps);
}

}  // namespace sluice::kernels::reference
