// Writes a parsed template's text.
#pragma once

#include "text/jinja/ast.hpp"

namespace sluice::jinja {

// `variables` are the names that the template may use; others are undefined.
// Errors: TemplateRefusal.
std::string render(const Block& block, Dict variables);

}  // namespace sluice::jinja
