// Parses the part of Jinja that chat templates use; everything else is refused by name.
#pragma once

#include "text/jinja/ast.hpp"

namespace sluice::jinja {

// Errors: ExitCode::Checkpoint, naming the construct, its line and column.
Block parse(const std::string& source);

}  // namespace sluice::jinja
