// Sampling options in JSON: their names, and the type and range of each.
#pragma once

#include "text/request.hpp"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string_view>
#include <vector>

namespace sluice {

// Whether every value is in its range; otherwise what is wrong (code bad_option). For the command line's
// defaults.
std::optional<RequestError> check(const Sampling& sampling);

// The options' names as members of a line.
std::vector<std::string_view> sampling_names();

// Sets the option `name`. Refusal (LineRefusal): bad_option, for a value of another type or out of range,
// which calls the option `called`.
void read_option(const nlohmann::json& value, std::string_view name, std::string_view called, Sampling& out);

}  // namespace sluice
