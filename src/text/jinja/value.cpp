#include "text/jinja/value.hpp"

#include "core/json.hpp"
#include "text/jinja/python_text.hpp"

#include <fmt/core.h>

#include <array>
#include <cmath>
#include <optional>

namespace sluice::jinja {
namespace {

// A number or bool as a number; nothing for other types.
std::optional<double> number(const Value& value) {
    if (const auto* flag = value.as<bool>()) return *flag ? 1.0 : 0.0;
    if (const auto* whole = value.as<std::int64_t>()) return static_cast<double>(*whole);
    if (const auto* real = value.as<double>()) return *real;
    return std::nullopt;
}

std::string float_text(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    std::string text = fmt::format("{}", value);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
}

class JsonWriter {
public:
    explicit JsonWriter(int indent) : indent_(indent) {}

    std::string write(const Value& value, int depth) const {
        if (value.as<None>() != nullptr) return "null";
        if (const auto* flag = value.as<bool>()) return *flag ? "true" : "false";
        if (const auto* text = value.as<std::string>()) {
            return Json(*text).dump(-1, ' ', false, Json::error_handler_t::replace);
        }
        if (const List* items = value.list()) {
            return sequence('[', ']', items->size(), depth,
                            [&](std::size_t i) { return write((*items)[i], depth + 1); });
        }
        if (const Dict* members = value.dict(); members != nullptr && value.as<Namespace>() == nullptr) {
            return sequence('{', '}', members->size(), depth, [&](std::size_t i) {
                const auto& [key, member] = (*members)[i];
                return write(Value(key), depth + 1) + ": " + write(member, depth + 1);
            });
        }
        if (number(value)) return to_text(value);
        throw TemplateRefusal(fmt::format("tojson cannot write a value of type {}", type_name(value)));
    }

private:
    template <class Element>
    std::string sequence(char open, char close, std::size_t count, int depth, Element element) const {
        const auto new_line = [&](int levels) {
            std::string line;
            if (indent_ >= 0) line.assign(1, '\n').append(static_cast<std::size_t>(indent_ * levels), ' ');
            return line;
        };
        std::string text(1, open);
        for (std::size_t i = 0; i < count; ++i) {
            if (i > 0) text += indent_ < 0 ? ", " : ",";
            text += new_line(depth + 1) + element(i);
        }
        if (count > 0) text += new_line(depth);
        return text + close;
    }

    int indent_;
};

}  // namespace

const List* Value::list() const {
    const auto* pointer = as<std::shared_ptr<const List>>();
    return pointer != nullptr ? pointer->get() : nullptr;
}

const Dict* Value::dict() const {
    if (const auto* space = as<Namespace>()) return space->members.get();
    const auto* pointer = as<std::shared_ptr<const Dict>>();
    return pointer != nullptr ? pointer->get() : nullptr;
}

Value make_list(List items) { return std::make_shared<const List>(std::move(items)); }
Value make_dict(Dict members) { return std::make_shared<const Dict>(std::move(members)); }

const Value* find(const Dict& dict, std::string_view key) {
    for (const auto& [name, value] : dict) {
        if (name == key) return &value;
    }
    return nullptr;
}

void assign(Dict& dict, const std::string& key, Value value) {
    for (auto& [name, old] : dict) {
        if (name == key) {
            old = std::move(value);
            return;
        }
    }
    dict.emplace_back(key, std::move(value));
}

std::string type_name(const Value& value) {
    static constexpr std::array<const char*, 9> kNames = {
        "undefined", "NoneType", "bool", "int", "float", "str", "list", "dict", "namespace"};
    return kNames[value.index()];
}

bool truth(const Value& value) {
    if (value.is_undefined() || value.as<None>() != nullptr) return false;
    if (const auto real = number(value)) return *real != 0.0;
    if (const auto* text = value.as<std::string>()) return !text->empty();
    if (const List* items = value.list()) return !items->empty();
    return value.as<Namespace>() != nullptr || !value.dict()->empty();
}

bool equal(const Value& left, const Value& right) {
    const auto* a = left.as<std::int64_t>();
    const auto* b = right.as<std::int64_t>();
    if (a != nullptr && b != nullptr) return *a == *b;
    if (number(left) && number(right)) return *number(left) == *number(right);
    if (left.index() != right.index()) return false;
    if (const auto* text = left.as<std::string>()) return *text == std::get<std::string>(right);
    if (const List* items = left.list()) {
        const List& others = *right.list();
        if (items->size() != others.size()) return false;
        for (std::size_t i = 0; i < items->size(); ++i) {
            if (!equal((*items)[i], others[i])) return false;
        }
        return true;
    }
    if (left.as<Namespace>() != nullptr) return left.dict() == right.dict();
    if (const Dict* members = left.dict()) {
        const Dict& others = *right.dict();
        if (members->size() != others.size()) return false;
        for (const auto& [key, member] : *members) {
            const Value* other = find(others, key);
            if (other == nullptr || !equal(member, *other)) return false;
        }
    }
    return true;
}

std::string to_text(const Value& value) {
    if (value.is_undefined()) return {};
    if (value.as<None>() != nullptr) return "None";
    if (const auto* flag = value.as<bool>()) return *flag ? "True" : "False";
    if (const auto* whole = value.as<std::int64_t>()) return fmt::format("{}", *whole);
    if (const auto* real = value.as<double>()) return float_text(*real);
    if (const auto* text = value.as<std::string>()) return *text;
    throw TemplateRefusal(fmt::format("a value of type {} cannot be written as text", type_name(value)));
}

std::string to_json(const Value& value, int indent) { return JsonWriter(indent).write(value, 0); }

List items_of(const Value& value) {
    if (value.is_undefined()) return {};
    if (const List* items = value.list()) return *items;
    List items;
    if (const auto* text = value.as<std::string>()) {
        for (std::string& character : characters_of(*text)) items.emplace_back(std::move(character));
        return items;
    }
    if (const Dict* members = value.dict(); members != nullptr && value.as<Namespace>() == nullptr) {
        for (const auto& [key, member] : *members) items.emplace_back(key);
        return items;
    }
    throw TemplateRefusal(fmt::format("a value of type {} cannot be iterated over", type_name(value)));
}

}  // namespace sluice::jinja
