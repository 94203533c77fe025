// Values of a chat template: those of Python that Jinja shows.
#pragma once

#include "text/jinja/meter.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sluice::jinja {

struct Value;
using List = std::vector<Value>;
using Dict = std::vector<std::pair<std::string, Value>>;  // in order of insertion

struct Statement;

struct Undefined {
    std::string name;
};
struct None {};

// A list or dict never changes; `depth` counts the levels of lists and dicts in it.
struct ListBody;
struct DictBody;

// Its members change, and belong to the evaluator: a namespace may hold itself.
struct Namespace {
    Dict* members;
};

// A macro (`scopes`: those it was defined in), or a function that every template is given.
struct Callable {
    std::string name;
    const Statement* macro = nullptr;
    std::size_t scopes = 0;
};

struct Value
    : std::variant<Undefined, None, bool, std::int64_t, double, std::string, std::shared_ptr<const ListBody>,
                   std::shared_ptr<const DictBody>, Namespace, Callable> {
    using variant::variant;

    template <class T>
    const T* as() const {
        return std::get_if<T>(this);
    }
    bool is_undefined() const { return as<Undefined>() != nullptr; }
    const List* list() const;  // nullptr: another type
    const Dict* dict() const;
};

struct ListBody {
    List items;
    int depth;
};
struct DictBody {
    Dict members;
    int depth;
};

// Errors: EvaluationError beyond 100 levels, which keeps every walk over a value short of the stack's end.
Value make_list(List items);
Value make_dict(Dict members);

// nullptr: no such key.
const Value* find(const Dict& dict, std::string_view key);
void assign(Dict& dict, const std::string& key, Value value);

// The type as Python names it, for messages.
std::string type_name(const Value& value);

bool truth(const Value& value);
bool equal(const Value& left, const Value& right, Meter& meter);

// As {{ value }} writes it. Refuses lists and dicts: Python's spelling of them is for debugging, tojson is
// not.
std::string to_text(const Value& value);

struct JsonStyle {
    int indent = -1;  // < 0: on one line
    std::string between_items = ", ";
    std::string after_key = ": ";
    bool ascii_only = false;
    bool sort_keys = false;
};

// json.dumps
std::string to_json(const Value& value, const JsonStyle& style, Meter& meter);

// How many items a for loop goes over: a list's items, a dict's keys, a string's characters, nothing for
// undefined. Other types are refused.
std::size_t count_of(const Value& value);

// What copying costs.
std::uint64_t price_of(const Value& value);
std::uint64_t price_of(const List& items);

List items_of(const Value& value, Meter& meter);

}  // namespace sluice::jinja
