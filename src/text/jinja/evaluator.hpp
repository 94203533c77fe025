// Writes a parsed template's text.
#pragma once

#include "text/jinja/ast.hpp"

namespace sluice::jinja {

// `variables` are the names that the template may use besides the functions of every chat template; others
// are undefined. `allowance`: of a Meter. Errors: TemplateRefusal.
std::string render(const Block& block, Dict variables, std::uint64_t allowance);

}  // namespace sluice::jinja
