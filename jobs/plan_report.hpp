// A plan as people and programs read it.
#pragma once

#include "jobs/plan_meshes.hpp"

#include <string>

namespace sluice {

std::string plan_text(const Plan& plan, const PlanOptions& options);
std::string plan_json(const Plan& plan, const PlanOptions& options);

}  // namespace sluice
