// The filters, tests and methods of chat templates, as Jinja and Python define them.
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

bool is_filter(std::string_view name);
bool is_test(std::string_view name);
bool is_method(std::string_view name);

// `name` must be one of those above. Errors: TemplateRefusal.
Value apply_filter(const std::string& name, const Value& subject, const CallArguments& arguments);
bool apply_test(const std::string& name, const Value& subject);
Value call_method(const std::string& name, const Value& subject, const CallArguments& arguments);

}  // namespace sluice::jinja
