// Block scales of a source, before anything is made of them.
#pragma once

#include <string>
#include <vector>

namespace sluice {

// ExitCode::Checkpoint naming `where` unless all scales are finite and not negative.
void check_scales(const std::vector<float>& scales, const std::string& where);

}  // namespace sluice
