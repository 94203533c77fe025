// One element of an array of float32 or bfloat16.
#pragma once

#include "core/dtype.hpp"

#include <cstdint>

namespace sluice::kernels::reference {

inline float element(const void* data, DType dtype, std::int64_t index) {
    return dtype == DType::F32 ? static_cast<const float*>(data)[index]
                               : to_float(static_cast<const bf16*>(data)[index]);
}

}  // namespace sluice::kernels::reference
