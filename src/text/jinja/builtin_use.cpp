#include "text/jinja/builtin_use.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace sluice::jinja {

const Value* CallArguments::get(std::size_t index, std::string_view name) const {
    return index < positional.size() ? &positional[index] : find(named, name);
}

void Use::takes(std::initializer_list<std::string_view> parameters) const {
    if (arguments_.positional.size() > parameters.size()) refuse("too many arguments");
    for (const auto& [given, value] : arguments_.named) {
        if (std::find(parameters.begin(), parameters.end(), given) == parameters.end())
            refuse(fmt::format("the argument {} is not supported", given));
    }
}

const Value* Use::argument(std::size_t index, std::string_view name) const {
    return arguments_.get(index, name);
}

const Value& Use::needed(std::size_t index, std::string_view name) const {
    const Value* value = argument(index, name);
    if (value == nullptr) refuse(fmt::format("{} is missing", name));
    return *value;
}

std::optional<std::string> Use::text(std::size_t index, std::string_view name) const {
    const Value* value = argument(index, name);
    if (value == nullptr || value->as<None>() != nullptr) return std::nullopt;
    if (const auto* text = value->as<std::string>()) return *text;
    refuse(fmt::format("{} is of type {}, not str", name, type_name(*value)));
}

std::string Use::needed_text(std::size_t index, std::string_view name) const {
    std::optional<std::string> value = text(index, name);
    if (!value) refuse(fmt::format("{} is missing", name));
    return *value;
}

std::int64_t Use::integer(std::size_t index, std::string_view name, std::int64_t otherwise) const {
    const Value* value = argument(index, name);
    if (value == nullptr || value->as<None>() != nullptr) return otherwise;
    if (const auto* whole = value->as<std::int64_t>()) return *whole;
    refuse(fmt::format("{} is of type {}, not int", name, type_name(*value)));
}

bool Use::flag(std::size_t index, std::string_view name) const {
    const Value* value = argument(index, name);
    return value != nullptr && truth(*value);
}

const std::string& Use::own_text() const {
    const auto* text = subject_.as<std::string>();
    if (text == nullptr) wrong_subject();
    return *text;
}

const Dict& Use::own_dict() const {
    const Dict* dict = subject_.dict();
    if (dict == nullptr) wrong_subject();
    return *dict;
}

void Use::refuse(std::string_view why) const { throw EvaluationError(fmt::format("{}: {}", name_, why)); }

void Use::wrong_subject() const {
    if (const auto* missing = subject_.as<Undefined>())
        refuse(fmt::format("'{}' is undefined", missing->name));
    throw EvaluationError(fmt::format("a value of type {} has no {}", type_name(subject_), name_));
}

}  // namespace sluice::jinja
