#include "checkpoint/check_scales.hpp"

#include "core/error.hpp"

#include <cmath>

namespace sluice {

void check_scales(const std::vector<float>& scales, const std::string& where) {
    for (const float scale : scales) {
        require(std::isfinite(scale) && scale >= 0, ExitCode::Checkpoint,
                "{}: a block scale is {}; expected finite, non-negative scales", where, scale);
    }
}

}  // namespace sluice
