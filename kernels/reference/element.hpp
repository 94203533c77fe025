// One element of an array of float32, bfloat16 or e4m3.
#pragma once

#include "core/dtype.hpp"

#include <cstdint>

namespace sluice::kernels::reference {

inline float element(const void* data, DType dtype, std::int64_t index) {
    switch (dtype) {
        case DType::F32: return static_cast<const float*>(data)[index];
        case DType::F8E4M3: return fp8_to_float(static_cast<const fp8*>(data)[index]);
        default: return to_float(static_cast<const bf16*>(data)[index]);
    }
}

}  // namespace sluice::kernels::reference
