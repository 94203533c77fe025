// The operators on values, as Python defines them. Errors: EvaluationError.
#pragma once

#include "text/jinja/value.hpp"

namespace sluice::jinja {

// + - * / // % and ~ (joins as text); * also repeats a text or list.
Value arithmetic(const std::string& name, const Value& left, const Value& right, Meter& meter);
Value negative(const Value& value);

// == != < <= > >= in, not in.
bool compare(const std::string& name, const Value& left, const Value& right, Meter& meter);

// value[key] and value.key: undefined when there is none.
Value subscript(const Value& value, const Value& key);

// value[start:stop:step]; None: left out.
Value slice(const Value& value, const Value& start, const Value& stop, const Value& step, Meter& meter);

}  // namespace sluice::jinja
