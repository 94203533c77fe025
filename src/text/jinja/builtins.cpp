#include "text/jinja/builtins.hpp"

#include "text/jinja/builtin_use.hpp"
#include "text/jinja/operators.hpp"
#include "text/jinja/python_text.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace sluice::jinja {
namespace {

Value texts(const Use& use, const std::vector<std::string_view>& parts) {
    use.meter().spend(Meter::kItem, parts.size());
    List items;
    for (const std::string_view part : parts) items.emplace_back(std::string(part));
    return make_list(std::move(items));
}

Value items_list(const Use& use, const Dict& dict) {
    List pairs;
    for (const auto& [key, value] : dict) {
        use.meter().spend(Meter::kItem * 2 + price_of(value));
        pairs.push_back(make_list({Value(key), value}));
    }
    return make_list(std::move(pairs));
}

// An attribute as filters name it: "a.b.0".
Value member(const Value& item, const std::string& path) {
    Value value = item;
    for (const std::string_view part : split(path, ".", -1)) {
        const bool is_index = !part.empty() && part.size() < 10 &&
                              part.find_first_not_of("0123456789") == std::string_view::npos;
        value = subscript(
            value, is_index ? Value(std::int64_t{std::stoi(std::string(part))}) : Value(std::string(part)));
    }
    return value;
}

// The arguments from `first` on.
CallArguments rest_of(const CallArguments& arguments, std::size_t first) {
    CallArguments rest;
    for (std::size_t i = first; i < arguments.positional.size(); ++i)
        rest.positional.push_back(arguments.positional[i]);
    rest.named = arguments.named;
    return rest;
}

// select, reject (the items themselves are tested), selectattr, rejectattr (an attribute of theirs).
Value selected(const Use& use, bool by_attribute, bool wanted) {
    const std::size_t at = by_attribute ? 1 : 0;
    const std::string path = by_attribute ? to_text(use.needed(0, "attribute")) : "";
    const bool tests = use.arguments().positional.size() > at;
    const std::string test = tests ? use.needed_text(at, "test") : "";
    const CallArguments arguments = rest_of(use.arguments(), at + 1);
    List items;
    for (const Value& item : use.own_items()) {
        use.meter().spend(Meter::kStep);
        const Value subject = by_attribute ? member(item, path) : item;
        const bool passes = tests ? apply_test(test, subject, arguments, use.meter()) : truth(subject);
        if (passes == wanted) items.push_back(item);
    }
    return make_list(std::move(items));
}

// map(attribute=..., default=...) or map(FILTER, its arguments)
Value mapped(const Use& use) {
    List items = use.own_items();
    if (use.arguments().positional.empty()) {
        use.takes({"attribute", "default"});
        const std::string path = to_text(use.needed(0, "attribute"));
        const Value* otherwise = use.argument(1, "default");
        for (Value& item : items) {
            use.meter().spend(Meter::kStep);
            Value found = member(item, path);
            item = found.is_undefined() && otherwise != nullptr ? *otherwise : std::move(found);
        }
    } else {
        const std::string filter = use.needed_text(0, "filter");
        const CallArguments arguments = rest_of(use.arguments(), 1);
        for (Value& item : items) item = apply_filter(filter, item, arguments, use.meter());
    }
    return make_list(std::move(items));
}

Value length(const Use& use) {
    use.takes({});
    return static_cast<std::int64_t>(count_of(use.subject()));
}

Value default_value(const Use& use) {
    use.takes({"default_value", "boolean"});
    const Value* replacement = use.argument(0, "default_value");
    const bool missing = use.subject().is_undefined() || (use.flag(1, "boolean") && !truth(use.subject()));
    if (!missing) return use.subject();
    return replacement != nullptr ? *replacement : Value(std::string());
}

std::string joined(const Use& use, const std::string& separator, const List& items) {
    std::string text;
    for (std::size_t i = 0; i < items.size(); ++i) {
        const std::string part = to_text(items[i]);
        use.meter().spend(part.size() + separator.size());
        text.append(i == 0 ? "" : separator).append(part);
    }
    return text;
}

Value join_filter(const Use& use) {
    use.takes({"d", "attribute"});
    List items = use.own_items();
    if (const Value* path = use.argument(1, "attribute"); path != nullptr && !holds<None>(*path)) {
        for (Value& item : items) item = member(item, to_text(*path));
    }
    return joined(use, use.text(0, "d").value_or(""), items);
}

Value join_method(const Use& use) {
    use.takes({"iterable"});
    const List items = items_of(use.needed(0, "iterable"), use.meter());
    const bool all_text = std::all_of(items.begin(), items.end(), holds<std::string>);
    if (!all_text) use.refuse("an item is no str");
    return joined(use, use.own_text(), items);
}

Value tojson(const Use& use) {
    use.takes({"ensure_ascii", "indent", "separators", "sort_keys"});
    const std::int64_t indent = use.integer(1, "indent", -1);
    if (indent > 100) use.refuse("indent is above 100");
    JsonStyle style;
    style.indent = static_cast<int>(std::max<std::int64_t>(indent, -1));
    style.ascii_only = use.flag(0, "ensure_ascii");
    style.sort_keys = use.flag(3, "sort_keys");
    if (style.indent >= 0) style.between_items = ",";
    const Value* separators = use.argument(2, "separators");
    if (separators != nullptr && !holds<None>(*separators)) {
        const List pair = items_of(*separators, use.meter());
        if (pair.size() != 2 || !holds<std::string>(pair[0]) || !holds<std::string>(pair[1]))
            use.refuse("separators are not two texts");
        style.between_items = std::get<std::string>(pair[0]);
        style.after_key = std::get<std::string>(pair[1]);
    }
    return to_json(use.subject(), style, use.meter());
}

Value end_item(const Use& use, bool first) {
    use.takes({});
    const List items = use.own_items();
    if (items.empty()) return Undefined{first ? "the first item of nothing" : "the last item of nothing"};
    return first ? items.front() : items.back();
}

Value reversed(const Use& use) {
    use.takes({});
    List items = use.own_items();
    std::reverse(items.begin(), items.end());
    return holds<std::string>(use.subject()) ? Value(joined(use, "", items)) : make_list(std::move(items));
}

Value cased(const Use& use, const std::string& text, Case wanted) {
    use.takes({});
    return to_case(text, wanted);
}

Value replaced(const Use& use, const std::string& text) {
    use.takes({"old", "new", "count"});
    const std::string from = use.needed_text(0, "old");
    const std::string to = use.needed_text(1, "new");
    const std::int64_t most = use.integer(2, "count", -1);
    use.meter().spend_search(text.size(), from.size());
    use.meter().spend(to.size(), occurrences(text, from));
    return replace(text, from, to, most);
}

Value to_integer(const Use& use) {
    use.takes({});
    const Value& subject = use.subject();
    if (const auto* flag = subject.as<bool>()) return std::int64_t{*flag ? 1 : 0};
    if (holds<std::int64_t>(subject)) return subject;
    use.refuse(fmt::format("a value of type {} is not supported", type_name(subject)));
}

Value absolute(const Use& use) {
    use.takes({});
    return compare("<", use.subject(), std::int64_t{0}, use.meter()) ? negative(use.subject())
                                                                     : use.subject();
}

Value stripped(const Use& use, const std::string& text, Ends ends) {
    use.takes({"chars"});
    return std::string(strip(text, use.text(0, "chars"), ends));
}

Value items_filter(const Use& use) {
    use.takes({});
    return use.subject().is_undefined() ? make_list({}) : items_list(use, use.own_dict());
}

const Table<Value>& filters() {
    static const Table<Value> table = {
        {"trim", [](const Use& use) { return stripped(use, to_text(use.subject()), Ends::Both); }},
        {"length", length},
        {"count", length},
        {"upper", [](const Use& use) { return cased(use, to_text(use.subject()), Case::Upper); }},
        {"lower", [](const Use& use) { return cased(use, to_text(use.subject()), Case::Lower); }},
        {"capitalize", [](const Use& use) { return cased(use, to_text(use.subject()), Case::Capitalized); }},
        {"tojson", tojson},
        {"default", default_value},
        {"d", default_value},
        {"join", join_filter},
        {"replace", [](const Use& use) { return replaced(use, to_text(use.subject())); }},
        {"first", [](const Use& use) { return end_item(use, true); }},
        {"last", [](const Use& use) { return end_item(use, false); }},
        {"list", [](const Use& use) { return use.takes({}), make_list(use.own_items()); }},
        {"string", [](const Use& use) -> Value { return use.takes({}), to_text(use.subject()); }},
        {"safe", [](const Use& use) -> Value { return use.takes({}), to_text(use.subject()); }},
        {"items", items_filter},
        {"reverse", reversed},
        {"int", to_integer},
        {"abs", absolute},
        {"map", mapped},
        {"select", [](const Use& use) { return selected(use, false, true); }},
        {"reject", [](const Use& use) { return selected(use, false, false); }},
        {"selectattr", [](const Use& use) { return selected(use, true, true); }},
        {"rejectattr", [](const Use& use) { return selected(use, true, false); }},
    };
    return table;
}

Value split_method(const Use& use, bool from_right) {
    use.takes({"sep", "maxsplit"});
    const std::string& text = use.own_text();
    const auto separator = use.text(0, "sep");
    const std::int64_t most = use.integer(1, "maxsplit", -1);
    use.meter().spend_search(text.size(), separator.value_or("").size());
    // Without a separator, the end to begin at shows only in where a limit cuts.
    if (from_right && !separator && most >= 0) use.refuse("maxsplit without sep is not supported");
    return texts(use, from_right && separator ? split_from_right(text, *separator, most)
                                              : split(text, separator, most));
}

// startswith, endswith: one text, or a list of which any will do.
template <class Fits>
Value fits_end(const Use& use, std::string_view parameter, Fits fits) {
    use.takes({parameter});
    const std::string& text = use.own_text();
    const Value& given = use.needed(0, parameter);
    const List choices = given.list() != nullptr ? *given.list() : List{given};
    return std::any_of(choices.begin(), choices.end(), [&](const Value& choice) {
        const auto* part = choice.as<std::string>();
        if (part == nullptr)
            use.refuse(fmt::format("{} is of type {}, not str", parameter, type_name(choice)));
        return fits(text, *part);
    });
}

Value without_end(const Use& use, bool prefix) {
    use.takes({prefix ? "prefix" : "suffix"});
    const std::string& text = use.own_text();
    const std::string part = use.needed_text(0, prefix ? "prefix" : "suffix");
    if (!(prefix ? text.starts_with(part) : text.ends_with(part))) return text;
    return prefix ? text.substr(part.size()) : text.substr(0, text.size() - part.size());
}

Value find_method(const Use& use, bool last) {
    use.takes({"sub"});
    const std::string& text = use.own_text();
    const std::string part = use.needed_text(0, "sub");
    use.meter().spend_search(text.size(), part.size());
    const std::size_t at = last ? text.rfind(part) : text.find(part);
    if (at == std::string::npos) return std::int64_t{-1};
    return static_cast<std::int64_t>(count_characters(std::string_view(text).substr(0, at)));
}

Value count_method(const Use& use) {
    use.takes({"sub"});
    const std::string part = use.needed_text(0, "sub");
    use.meter().spend_search(use.own_text().size(), part.size());
    return static_cast<std::int64_t>(occurrences(use.own_text(), part));
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
    use.meter().spend(price_of(result));
    return make_list(std::move(result));
}

const Table<Value>& methods() {
    static const Table<Value> table = {
        {"strip", [](const Use& use) { return stripped(use, use.own_text(), Ends::Both); }},
        {"lstrip", [](const Use& use) { return stripped(use, use.own_text(), Ends::Left); }},
        {"rstrip", [](const Use& use) { return stripped(use, use.own_text(), Ends::Right); }},
        {"split", [](const Use& use) { return split_method(use, false); }},
        {"rsplit", [](const Use& use) { return split_method(use, true); }},
        {"splitlines", [](const Use& use) { return use.takes({}), texts(use, split_lines(use.own_text())); }},
        {"startswith",
         [](const Use& use) {
             return fits_end(use, "prefix", [](auto& text, auto& part) { return text.starts_with(part); });
         }},
        {"endswith",
         [](const Use& use) {
             return fits_end(use, "suffix", [](auto& text, auto& part) { return text.ends_with(part); });
         }},
        {"removeprefix", [](const Use& use) { return without_end(use, true); }},
        {"removesuffix", [](const Use& use) { return without_end(use, false); }},
        {"find", [](const Use& use) { return find_method(use, false); }},
        {"rfind", [](const Use& use) { return find_method(use, true); }},
        {"count", count_method},
        {"join", join_method},
        {"upper", [](const Use& use) { return cased(use, use.own_text(), Case::Upper); }},
        {"lower", [](const Use& use) { return cased(use, use.own_text(), Case::Lower); }},
        {"capitalize", [](const Use& use) { return cased(use, use.own_text(), Case::Capitalized); }},
        {"replace", [](const Use& use) { return replaced(use, use.own_text()); }},
        {"items", [](const Use& use) { return use.takes({}), items_list(use, use.own_dict()); }},
        {"keys", [](const Use& use) { return keys_or_values(use, true); }},
        {"values", [](const Use& use) { return keys_or_values(use, false); }},
        {"get", get_method},
    };
    return table;
}

}  // namespace

Value apply_filter(const std::string& name, const Value& subject, const CallArguments& arguments,
                   Meter& meter) {
    return use_entry(filters(), "filter", Use(name, subject, arguments, meter));
}

Value call_method(const std::string& name, const Value& subject, const CallArguments& arguments,
                  Meter& meter) {
    const Use use(name, subject, arguments, meter);
    if (subject.is_undefined()) use.wrong_subject();
    return use_entry(methods(), "method", use);
}

}  // namespace sluice::jinja
