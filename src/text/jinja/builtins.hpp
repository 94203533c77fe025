// The filters, tests, methods and functions of chat templates, as Jinja and Python define them.
#pragma once

#include "text/jinja/value.hpp"

#include <string>
#include <string_view>

namespace sluice::jinja {

struct CallArguments {
    List positional;
    Dict named;

    // The argument at `index` of the parameters, or the one given as `name`; nullptr: not given.
    const Value* get(std::size_t index, std::string_view name) const;
};

// Errors: EvaluationError, also for a name that is not known.
Value apply_filter(const std::string& name, const Value& subject, const CallArguments& arguments,
                   Meter& meter);
bool apply_test(const std::string& name, const Value& subject, const CallArguments& arguments, Meter& meter);
Value call_method(const std::string& name, const Value& subject, const CallArguments& arguments,
                  Meter& meter);

// range and dict.
Value call_function(const std::string& name, const CallArguments& arguments, Meter& meter);

}  // namespace sluice::jinja
