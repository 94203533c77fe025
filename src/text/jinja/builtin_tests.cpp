// The tests (`is ...`) and functions.
#include "text/jinja/builtin_use.hpp"
#include "text/jinja/operators.hpp"

namespace sluice::jinja {
namespace {

bool is_iterable(const Value& v) {
    return v.is_undefined() || holds<std::string>(v) || v.list() != nullptr || v.dict() != nullptr;
}

// A test that is an operator by another name: `is equalto x`.
std::function<bool(const Use&)> comparison(const char* name) {
    return [name](const Use& use) {
        use.takes({"other"});
        return compare(name, use.subject(), use.needed(0, "other"), use.meter());
    };
}

std::function<bool(const Use&)> predicate(bool (*holds_for)(const Value&)) {
    return [holds_for](const Use& use) { return use.takes({}), holds_for(use.subject()); };
}

bool has_remainder(const Use& use, std::int64_t divisor, std::int64_t remainder) {
    return equal(arithmetic("%", use.subject(), divisor, use.meter()), remainder, use.meter());
}

bool divisible(const Use& use) {
    use.takes({"num"});
    return has_remainder(use, use.integer(0, "num", 0), 0);
}

const Table<bool>& tests() {
    static const Table<bool> table = {
        {"defined", predicate([](const Value& v) { return !v.is_undefined(); })},
        {"undefined", predicate([](const Value& v) { return v.is_undefined(); })},
        {"none", predicate(holds<None>)},
        {"string", predicate(holds<std::string>)},
        {"boolean", predicate(holds<bool>)},
        {"true", predicate([](const Value& v) { return holds<bool>(v) && *v.as<bool>(); })},
        {"false", predicate([](const Value& v) { return holds<bool>(v) && !*v.as<bool>(); })},
        {"integer", predicate(holds<std::int64_t>)},
        {"float", predicate(holds<double>)},
        {"number", predicate([](const Value& v) {
             return holds<std::int64_t>(v) || holds<double>(v) || holds<bool>(v);
         })},
        {"mapping", predicate([](const Value& v) { return v.dict() != nullptr; })},
        {"sequence", predicate(is_iterable)},
        {"iterable", predicate(is_iterable)},
        {"callable", predicate(holds<Callable>)},
        {"odd", [](const Use& use) { return use.takes({}), has_remainder(use, 2, 1); }},
        {"even", [](const Use& use) { return use.takes({}), has_remainder(use, 2, 0); }},
        {"divisibleby", divisible},
        {"in", comparison("in")},
        {"equalto", comparison("==")},
        {"eq", comparison("==")},
        {"==", comparison("==")},
        {"ne", comparison("!=")},
        {"!=", comparison("!=")},
        {"lt", comparison("<")},
        {"lessthan", comparison("<")},
        {"<", comparison("<")},
        {"le", comparison("<=")},
        {"<=", comparison("<=")},
        {"gt", comparison(">")},
        {"greaterthan", comparison(">")},
        {">", comparison(">")},
        {"ge", comparison(">=")},
        {">=", comparison(">=")},
    };
    return table;
}

Value range_function(const Use& use) {
    use.takes({"start", "stop", "step"});
    const bool only_stop = use.argument(1, "stop") == nullptr;
    use.needed(0, "stop");
    const std::int64_t start = only_stop ? 0 : use.integer(0, "start", 0);
    const std::int64_t stop = use.integer(only_stop ? 0 : 1, "stop", 0);
    const std::int64_t step = use.integer(2, "step", 1);
    if (step == 0) use.refuse("step is zero");
    List items;
    for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
        use.meter().spend(Meter::kItem);
        items.emplace_back(i);
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    return make_list(std::move(items));
}

Value dict_function(const Use& use) {
    if (!use.arguments().positional.empty()) use.refuse("only named arguments are supported");
    Dict members;
    for (const auto& [key, value] : use.arguments().named) assign(members, key, value);
    return make_dict(std::move(members));
}

const Table<Value>& functions() {
    static const Table<Value> table = {{"range", range_function}, {"dict", dict_function}};
    return table;
}

}  // namespace

bool apply_test(const std::string& name, const Value& subject, const CallArguments& arguments, Meter& meter) {
    return use_entry(tests(), "test", Use(name, subject, arguments, meter));
}

Value call_function(const std::string& name, const CallArguments& arguments, Meter& meter) {
    return use_entry(functions(), "function", Use(name, Undefined{name}, arguments, meter));
}

}  // namespace sluice::jinja
