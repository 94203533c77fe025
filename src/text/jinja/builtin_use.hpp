// One use of a filter, test, method or function: its arguments, checked as Python would check them.
#pragma once

#include "text/jinja/builtins.hpp"

#include <fmt/core.h>

#include <functional>
#include <initializer_list>
#include <map>
#include <optional>

namespace sluice::jinja {

class Use {
public:
    Use(const std::string& name, const Value& subject, const CallArguments& arguments, Meter& meter)
        : name_(name), subject_(subject), arguments_(arguments), meter_(meter) {}

    const Value& subject() const { return subject_; }
    const CallArguments& arguments() const { return arguments_; }
    Meter& meter() const { return meter_; }

    // The parameters' names in order; anything else that was given is refused.
    void takes(std::initializer_list<std::string_view> parameters) const;

    const Value* argument(std::size_t index, std::string_view name) const;
    const Value& needed(std::size_t index, std::string_view name) const;
    // nullopt: not given, or None.
    std::optional<std::string> text(std::size_t index, std::string_view name) const;
    std::string needed_text(std::size_t index, std::string_view name) const;
    std::int64_t integer(std::size_t index, std::string_view name, std::int64_t otherwise) const;
    bool flag(std::size_t index, std::string_view name) const;

    const std::string& own_text() const;
    const Dict& own_dict() const;
    List own_items() const { return items_of(subject_, meter_); }

    const std::string& name() const { return name_; }
    [[noreturn]] void refuse(std::string_view why) const;
    [[noreturn]] void wrong_subject() const;

private:
    const std::string& name_;
    const Value& subject_;
    const CallArguments& arguments_;
    Meter& meter_;
};

template <class T>
bool holds(const Value& value) {
    return value.as<T>() != nullptr;
}

template <class Result>
using Table = std::map<std::string, std::function<Result(const Use&)>, std::less<>>;

template <class Result>
Result use_entry(const Table<Result>& table, std::string_view kind, const Use& use) {
    const auto entry = table.find(use.name());
    if (entry == table.end())
        throw EvaluationError(fmt::format("the {} {} is not supported", kind, use.name()));
    return entry->second(use);
}

}  // namespace sluice::jinja
