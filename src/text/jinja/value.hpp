// Values of a chat template: those of Python that Jinja shows.
#pragma once

#include "text/template_refusal.hpp"

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

struct Undefined {
    std::string name;
};
struct None {};
struct Namespace {
    std::shared_ptr<Dict> members;
};

struct Value : std::variant<Undefined, None, bool, std::int64_t, double, std::string,
                            std::shared_ptr<const List>, std::shared_ptr<const Dict>, Namespace> {
    using variant::variant;

    template <class T>
    const T* as() const {
        return std::get_if<T>(this);
    }
    bool is_undefined() const { return as<Undefined>() != nullptr; }
    const List* list() const;  // nullptr: another type
    const Dict* dict() const;  // also of a namespace
};

Value make_list(List items);
Value make_dict(Dict members);

// nullptr: no such key.
const Value* find(const Dict& dict, std::string_view key);
void assign(Dict& dict, const std::string& key, Value value);

// The type as Python names it, for messages.
std::string type_name(const Value& value);

bool truth(const Value& value);
bool equal(const Value& left, const Value& right);

// As {{ value }} writes it. Refuses lists and dicts: Python's spelling of them is for debugging, tojson is
// not.
std::string to_text(const Value& value);

// json.dumps(value, ensure_ascii=False, indent=indent); indent < 0: on one line.
std::string to_json(const Value& value, int indent);

// What a for loop goes over: a list's items, a dict's keys, a string's characters, nothing for undefined.
List items_of(const Value& value);

}  // namespace sluice::jinja
