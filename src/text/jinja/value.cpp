#include "text/jinja/value.hpp"

#include "core/json.hpp"
#include "text/jinja/python_text.hpp"

#include <fmt/core.h>

#include <algorithm>
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
    JsonWriter(const JsonStyle& style, Meter& meter) : style_(style), meter_(meter) {}

    void write(const Value& value, int depth) {
        meter_.spend(Meter::kStep);
        if (const auto* text = value.as<std::string>()) {
            append(Json(*text).dump(-1, ' ', style_.ascii_only, Json::error_handler_t::replace));
        } else if (const List* items = value.list()) {
            sequence('[', ']', items->size(), depth, [&](std::size_t i) { write((*items)[i], depth + 1); });
        } else if (const Dict* members = value.dict()) {
            write_dict(*members, depth);
        } else {
            append(scalar(value));
        }
    }

    std::string take_text() { return std::move(text_); }

private:
    void append(std::string_view text) {
        meter_.spend(text.size());
        text_ += text;
    }

    static std::string scalar(const Value& value) {
        if (value.as<None>() != nullptr) return "null";
        if (const auto* flag = value.as<bool>()) return *flag ? "true" : "false";
        if (number(value)) return to_text(value);
        throw EvaluationError(fmt::format("tojson cannot write a value of type {}", type_name(value)));
    }

    void write_dict(const Dict& members, int depth) {
        std::vector<const Dict::value_type*> order;
        for (const auto& member : members) order.push_back(&member);
        if (style_.sort_keys)
            std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->first < b->first; });
        sequence('{', '}', order.size(), depth, [&](std::size_t i) {
            write(Value(order[i]->first), depth + 1);
            append(style_.after_key);
            write(order[i]->second, depth + 1);
        });
    }

    template <class Element>
    void sequence(char open, char close, std::size_t count, int depth, Element element) {
        const auto new_line = [&](int levels) {
            if (style_.indent < 0) return;
            append("\n");
            append(std::string(static_cast<std::size_t>(style_.indent * levels), ' '));
        };
        append({&open, 1});
        for (std::size_t i = 0; i < count; ++i) {
            if (i > 0) append(style_.between_items);
            new_line(depth + 1);
            element(i);
        }
        if (count > 0) new_line(depth);
        append({&close, 1});
    }

    const JsonStyle& style_;
    Meter& meter_;
    std::string text_;
};

constexpr int kMaxDepth = 100;

int depth_of(const Value& value) {
    if (const auto* list = value.as<std::shared_ptr<const ListBody>>()) return (*list)->depth;
    if (const auto* dict = value.as<std::shared_ptr<const DictBody>>()) return (*dict)->depth;
    return 0;
}

int one_above(int depth) {
    if (depth >= kMaxDepth)
        throw EvaluationError(fmt::format("lists and dicts nested deeper than {}", kMaxDepth));
    return depth + 1;
}

}  // namespace

const List* Value::list() const {
    const auto* body = as<std::shared_ptr<const ListBody>>();
    return body != nullptr ? &(*body)->items : nullptr;
}

const Dict* Value::dict() const {
    const auto* body = as<std::shared_ptr<const DictBody>>();
    return body != nullptr ? &(*body)->members : nullptr;
}

Value make_list(List items) {
    int depth = 0;
    for (const Value& item : items) depth = std::max(depth, depth_of(item));
    return std::make_shared<const ListBody>(ListBody{std::move(items), one_above(depth)});
}

Value make_dict(Dict members) {
    int depth = 0;
    for (const auto& [key, member] : members) depth = std::max(depth, depth_of(member));
    return std::make_shared<const DictBody>(DictBody{std::move(members), one_above(depth)});
}

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
    static constexpr std::array<const char*, 10> kNames = {
        "undefined", "NoneType", "bool", "int", "float", "str", "list", "dict", "namespace", "function"};
    return kNames[value.index()];
}

bool truth(const Value& value) {
    if (value.is_undefined() || value.as<None>() != nullptr) return false;
    if (const auto real = number(value)) return *real != 0.0;
    if (const auto* text = value.as<std::string>()) return !text->empty();
    if (const List* items = value.list()) return !items->empty();
    const Dict* members = value.dict();
    return members == nullptr || !members->empty();
}

bool equal(const Value& left, const Value& right, Meter& meter) {
    meter.spend(Meter::kStep);
    const auto* a = left.as<std::int64_t>();
    const auto* b = right.as<std::int64_t>();
    if (a != nullptr && b != nullptr) return *a == *b;
    if (number(left) && number(right)) return *number(left) == *number(right);
    if (left.index() != right.index()) return false;
    if (const auto* text = left.as<std::string>()) {
        meter.spend(text->size());
        return *text == std::get<std::string>(right);
    }
    if (const List* items = left.list()) {
        return std::equal(items->begin(), items->end(), right.list()->begin(), right.list()->end(),
                          [&](const Value& x, const Value& y) { return equal(x, y, meter); });
    }
    if (const Dict* members = left.dict()) {
        const Dict& others = *right.dict();
        return members->size() == others.size() &&
               std::all_of(members->begin(), members->end(), [&](const auto& member) {
                   const Value* other = find(others, member.first);
                   return other != nullptr && equal(member.second, *other, meter);
               });
    }
    if (const auto* space = left.as<Namespace>()) return space->members == std::get<Namespace>(right).members;
    if (const auto* function = left.as<Callable>()) {
        const auto& other = std::get<Callable>(right);
        return function->macro == other.macro && function->name == other.name;
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
    throw EvaluationError(fmt::format("a value of type {} cannot be written as text", type_name(value)));
}

std::string to_json(const Value& value, const JsonStyle& style, Meter& meter) {
    JsonWriter writer(style, meter);
    writer.write(value, 0);
    return writer.take_text();
}

std::size_t count_of(const Value& value) {
    if (value.is_undefined()) return 0;
    if (const List* items = value.list()) return items->size();
    if (const Dict* members = value.dict()) return members->size();
    if (const auto* text = value.as<std::string>()) return count_characters(*text);
    throw EvaluationError(fmt::format("a value of type {} cannot be iterated over", type_name(value)));
}

std::uint64_t price_of(const Value& value) {
    const auto* text = value.as<std::string>();
    return Meter::kItem + (text != nullptr ? text->size() : 0);
}

std::uint64_t price_of(const List& items) {
    std::uint64_t price = 0;
    for (const Value& item : items) price += price_of(item);
    return price;
}

List items_of(const Value& value, Meter& meter) {
    if (const List* items = value.list()) {
        meter.spend(price_of(*items));
        return *items;
    }
    meter.spend(Meter::kItem, count_of(value));
    List items;
    if (const auto* text = value.as<std::string>()) {
        for (const std::string_view character : characters_of(*text))
            items.emplace_back(std::string(character));
    } else if (const Dict* members = value.dict()) {
        for (const auto& [key, member] : *members) items.emplace_back(key);
    }
    return items;
}

}  // namespace sluice::jinja
