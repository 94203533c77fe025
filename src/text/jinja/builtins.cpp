#include "text/jinja/builtins.hpp"

#include "text/jinja/python_text.hpp"

#include <fmt/core.h>

#include <functional>
#include <map>
#include <optional>

namespace sluice::jinja {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw TemplateRefusal(message); }

// One use of a filter or method: checks its arguments as Python would.
class Use {
public:
    Use(const std::string& name, const Value& subject, const CallArguments& arguments)
        : name_(name), subject_(subject), arguments_(arguments) {}

    const Value& subject() const { return subject_; }

    // The parameters' names in order; anything else that was given is refused.
    void takes(std::initializer_list<std::string_view> parameters) const {
        if (arguments_.positional.size() > parameters.size())
            refuse(fmt::format("{}: too many arguments", name_));
        for (const auto& [given, value] : arguments_.named) {
            bool known = false;
            for (const std::string_view parameter : parameters) known = known || parameter == given;
            if (!known) refuse(fmt::format("{}: the argument {} is not supported", name_, given));
        }
    }

    const Value* argument(std::size_t index, std::string_view name) const {
        return arguments_.get(index, name);
    }

    // nullopt: not given, or None.
    std::optional<std::string> text(std::size_t index, std::string_view name) const {
        const Value* value = argument(index, name);
        if (value == nullptr || value->as<None>() != nullptr) return std::nullopt;
        if (const auto* text = value->as<std::string>()) return *text;
        refuse(fmt::format("{}: {} is of type {}, not str", name_, name, type_name(*value)));
    }

    std::string needed_text(std::size_t index, std::string_view name) const {
        std::optional<std::string> value = text(index, name);
        if (!value) refuse(fmt::format("{}: {} is missing", name_, name));
        return *value;
    }

    std::int64_t integer(std::size_t index, std::string_view name, std::int64_t otherwise) const {
        const Value* value = argument(index, name);
        if (value == nullptr || value->as<None>() != nullptr) return otherwise;
        if (const auto* whole = value->as<std::int64_t>()) return *whole;
        refuse(fmt::format("{}: {} is of type {}, not int", name_, name, type_name(*value)));
    }

    const std::string& own_text() const {
        const auto* text = subject_.as<std::string>();
        if (text == nullptr) wrong_subject();
        return *text;
    }

    const Dict& own_dict() const {
        const Dict* dict = subject_.as<Namespace>() == nullptr ? subject_.dict() : nullptr;
        if (dict == nullptr) wrong_subject();
        return *dict;
    }

    [[noreturn]] void wrong_subject() const {
        if (const auto* missing = subject_.as<Undefined>()) {
            refuse(fmt::format("{}: '{}' is undefined", name_, missing->name));
        }
        refuse(fmt::format("a value of type {} has no {}", type_name(subject_), name_));
    }

private:
    const std::string& name_;
    const Value& subject_;
    const CallArguments& arguments_;
};

using Function = std::function<Value(const Use&)>;

Value items_list(const Dict& dict) {
    List pairs;
    for (const auto& [key, value] : dict) pairs.push_back(make_list({Value(key), value}));
    return make_list(std::move(pairs));
}

Value length(const Use& use) {
    use.takes({});
    const Value& subject = use.subject();
    const bool countable = subject.is_undefined() || subject.as<std::string>() != nullptr ||
                           subject.list() != nullptr ||
                           (subject.dict() != nullptr && subject.as<Namespace>() == nullptr);
    if (!countable) use.wrong_subject();
    return static_cast<std::int64_t>(items_of(subject).size());
}

Value default_value(const Use& use) {
    use.takes({"default_value", "boolean"});
    const Value* replacement = use.argument(0, "default_value");
    const Value* any_false = use.argument(1, "boolean");
    const bool missing =
        use.subject().is_undefined() || (any_false != nullptr && truth(*any_false) && !truth(use.subject()));
    if (!missing) return use.subject();
    return replacement != nullptr ? *replacement : Value(std::string());
}

Value join(const Use& use) {
    use.takes({"d"});
    const std::string separator = use.text(0, "d").value_or("");
    std::string text;
    bool first = true;
    for (const Value& item : items_of(use.subject())) {
        if (!first) text += separator;
        first = false;
        text += to_text(item);
    }
    return text;
}

Value tojson(const Use& use) {
    use.takes({"indent"});
    const std::int64_t indent = use.integer(0, "indent", -1);
    if (indent > 100) refuse("tojson: indent is above 100");
    return to_json(use.subject(), static_cast<int>(indent));
}

Value end_item(const Use& use, bool first) {
    use.takes({});
    const List items = items_of(use.subject());
    if (items.empty()) return Undefined{first ? "the first item of nothing" : "the last item of nothing"};
    return first ? items.front() : items.back();
}

Value cased(const Use& use, bool upper) {
    use.takes({});
    return to_case(to_text(use.subject()), upper);
}

Value replaced(const Use& use, const std::string& text) {
    use.takes({"old", "new"});
    return replace_all(text, use.needed_text(0, "old"), use.needed_text(1, "new"));
}

Value items_filter(const Use& use) {
    use.takes({});
    return use.subject().is_undefined() ? make_list({}) : items_list(use.own_dict());
}

const std::map<std::string, Function, std::less<>>& filters() {
    static const std::map<std::string, Function, std::less<>> table = {
        {"trim",
         [](const Use& use) -> Value {
             use.takes({"chars"});
             return strip(to_text(use.subject()), use.text(0, "chars"), Ends::Both);
         }},
        {"length", length},
        {"count", length},
        {"upper", [](const Use& use) { return cased(use, true); }},
        {"lower", [](const Use& use) { return cased(use, false); }},
        {"tojson", tojson},
        {"default", default_value},
        {"d", default_value},
        {"join", join},
        {"replace", [](const Use& use) { return replaced(use, to_text(use.subject())); }},
        {"first", [](const Use& use) { return end_item(use, true); }},
        {"last", [](const Use& use) { return end_item(use, false); }},
        {"list",
         [](const Use& use) {
             use.takes({});
             return make_list(items_of(use.subject()));
         }},
        {"string",
         [](const Use& use) -> Value {
             use.takes({});
             return to_text(use.subject());
         }},
        {"items", items_filter},
    };
    return table;
}

Value stripped(const Use& use, Ends ends) {
    use.takes({"chars"});
    return strip(use.own_text(), use.text(0, "chars"), ends);
}

Value split_method(const Use& use) {
    use.takes({"sep", "maxsplit"});
    List parts;
    for (std::string& part : split(use.own_text(), use.text(0, "sep"), use.integer(1, "maxsplit", -1))) {
        parts.emplace_back(std::move(part));
    }
    return make_list(std::move(parts));
}

Value get_method(const Use& use) {
    use.takes({"key", "default"});
    const Value* found = find(use.own_dict(), use.needed_text(0, "key"));
    if (found != nullptr) return *found;
    const Value* otherwise = use.argument(1, "default");
    return otherwise != nullptr ? *otherwise : Value(None{});
}

Value keys_or_values(const Use& use, bool keys) {
    use.takes({});
    List result;
    for (const auto& [key, value] : use.own_dict()) result.push_back(keys ? Value(key) : value);
    return make_list(std::move(result));
}

const std::map<std::string, Function, std::less<>>& methods() {
    static const std::map<std::string, Function, std::less<>> table = {
        {"strip", [](const Use& use) { return stripped(use, Ends::Both); }},
        {"lstrip", [](const Use& use) { return stripped(use, Ends::Left); }},
        {"rstrip", [](const Use& use) { return stripped(use, Ends::Right); }},
        {"split", split_method},
        {"startswith",
         [](const Use& use) -> Value {
             use.takes({"prefix"});
             return use.own_text().starts_with(use.needed_text(0, "prefix"));
         }},
        {"endswith",
         [](const Use& use) -> Value {
             use.takes({"suffix"});
             return use.own_text().ends_with(use.needed_text(0, "suffix"));
         }},
        {"upper", [](const Use& use) -> Value { return use.takes({}), to_case(use.own_text(), true); }},
        {"lower", [](const Use& use) -> Value { return use.takes({}), to_case(use.own_text(), false); }},
        {"replace", [](const Use& use) { return replaced(use, use.own_text()); }},
        {"items", [](const Use& use) { return use.takes({}), items_list(use.own_dict()); }},
        {"keys", [](const Use& use) { return keys_or_values(use, true); }},
        {"values", [](const Use& use) { return keys_or_values(use, false); }},
        {"get", get_method},
    };
    return table;
}

template <class T>
bool holds(const Value& value) {
    return value.as<T>() != nullptr;
}

using Predicate = bool (*)(const Value&);

const std::map<std::string, Predicate, std::less<>>& tests() {
    static const Predicate is_list_like = [](const Value& v) {
        return v.is_undefined() || holds<std::string>(v) || v.list() != nullptr ||
               (v.dict() != nullptr && !holds<Namespace>(v));
    };
    static const std::map<std::string, Predicate, std::less<>> table = {
        {"defined", [](const Value& v) { return !v.is_undefined(); }},
        {"undefined", [](const Value& v) { return v.is_undefined(); }},
        {"none", [](const Value& v) { return holds<None>(v); }},
        {"string", [](const Value& v) { return holds<std::string>(v); }},
        {"boolean", [](const Value& v) { return holds<bool>(v); }},
        {"true", [](const Value& v) { return holds<bool>(v) && *v.as<bool>(); }},
        {"false", [](const Value& v) { return holds<bool>(v) && !*v.as<bool>(); }},
        {"integer", [](const Value& v) { return holds<std::int64_t>(v); }},
        {"float", [](const Value& v) { return holds<double>(v); }},
        {"number",
         [](const Value& v) { return holds<std::int64_t>(v) || holds<double>(v) || holds<bool>(v); }},
        {"mapping", [](const Value& v) { return v.dict() != nullptr && !holds<Namespace>(v); }},
        {"sequence", is_list_like},
        {"iterable", is_list_like},
    };
    return table;
}

}  // namespace

const Value* CallArguments::get(std::size_t index, std::string_view name) const {
    return index < positional.size() ? &positional[index] : find(named, name);
}

bool is_filter(std::string_view name) { return filters().contains(name); }
bool is_test(std::string_view name) { return tests().contains(name); }
bool is_method(std::string_view name) { return methods().contains(name); }

Value apply_filter(const std::string& name, const Value& subject, const CallArguments& arguments) {
    return filters().find(name)->second(Use(name, subject, arguments));
}

bool apply_test(const std::string& name, const Value& subject) { return tests().find(name)->second(subject); }

Value call_method(const std::string& name, const Value& subject, const CallArguments& arguments) {
    return methods().find(name)->second(Use(name, subject, arguments));
}

}  // namespace sluice::jinja
