#include "checkpoint/full_path.hpp"

namespace sluice {

std::filesystem::path full_path(const std::filesystem::path& folder) {
    const std::filesystem::path whole = std::filesystem::absolute(folder).lexically_normal();
    return whole.has_filename() ? whole : whole.parent_path();
}

}  // namespace sluice
