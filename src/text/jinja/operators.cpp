#include "text/jinja/operators.hpp"

#include "text/jinja/python_text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace sluice::jinja {
namespace {

[[noreturn]] void refuse_operands(std::string_view name, const Value& left, const Value& right) {
    for (const Value* value : {&left, &right}) {
        if (const auto* missing = value->as<Undefined>()) {
            throw EvaluationError(fmt::format("'{}' is undefined", missing->name));
        }
    }
    throw EvaluationError(
        fmt::format("the operator {} does not work on {} and {}", name, type_name(left), type_name(right)));
}

std::optional<std::int64_t> integer(const Value& value) {
    if (const auto* flag = value.as<bool>()) return *flag ? 1 : 0;
    if (const auto* whole = value.as<std::int64_t>()) return *whole;
    return std::nullopt;
}

std::optional<double> real(const Value& value) {
    if (const auto whole = integer(value)) return static_cast<double>(*whole);
    if (const auto* number = value.as<double>()) return *number;
    return std::nullopt;
}

Value integer_arithmetic(const std::string& name, std::int64_t left, std::int64_t right) {
    constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
    std::int64_t result = 0;
    bool overflow = false;
    if (name == "+") {
        overflow = __builtin_add_overflow(left, right, &result);
    } else if (name == "-") {
        overflow = __builtin_sub_overflow(left, right, &result);
    } else if (name == "*") {
        overflow = __builtin_mul_overflow(left, right, &result);
    } else if (right == 0) {
        throw EvaluationError("division by zero");
    } else if (name == "/") {
        return static_cast<double>(left) / static_cast<double>(right);
    } else if (left == kLeast && right == -1) {
        overflow = true;
    } else {
        // Python rounds quotients down, C++ towards zero.
        const bool round_down = left % right != 0 && (left % right < 0) != (right < 0);
        result = name == "//" ? left / right - (round_down ? 1 : 0) : left % right + (round_down ? right : 0);
    }
    if (overflow) throw EvaluationError(fmt::format("{} {} {} does not fit 64 bits", left, name, right));
    return result;
}

Value real_arithmetic(const std::string& name, double left, double right) {
    if (name == "+") return left + right;
    if (name == "-") return left - right;
    if (name == "*") return left * right;
    if (right == 0.0) throw EvaluationError("division by zero");
    if (name == "/") return left / right;
    const double quotient = std::floor(left / right);
    return name == "//" ? quotient : left - quotient * right;
}

bool contains(const Value& item, const Value& container, Meter& meter) {
    if (const auto* text = container.as<std::string>()) {
        const auto* part = item.as<std::string>();
        if (part == nullptr) refuse_operands("in", item, container);
        meter.spend_search(text->size(), part->size());
        return text->find(*part) != std::string::npos;
    }
    if (const Dict* members = container.dict()) {
        const auto* key = item.as<std::string>();
        return key != nullptr && find(*members, *key) != nullptr;
    }
    const List items = items_of(container, meter);
    return std::any_of(items.begin(), items.end(),
                       [&](const Value& other) { return equal(item, other, meter); });
}

// text * count, list * count
Value repeated(const Value& value, std::int64_t count, Meter& meter) {
    const auto times = static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0));
    if (const auto* text = value.as<std::string>()) {
        meter.spend(text->size(), times);
        std::string result;
        for (std::uint64_t i = 0; i < times && !text->empty(); ++i) result += *text;
        return result;
    }
    const List& items = *value.list();
    meter.spend(price_of(items), times);
    List result;
    for (std::uint64_t i = 0; i < times && !items.empty(); ++i)
        result.insert(result.end(), items.begin(), items.end());
    return make_list(std::move(result));
}

bool is_sequence(const Value& value) { return value.as<std::string>() != nullptr || value.list() != nullptr; }

template <class T>
bool ordered(const std::string& name, const T& left, const T& right) {
    if (name == "<") return left < right;
    if (name == "<=") return left <= right;
    if (name == ">") return left > right;
    return left >= right;
}

// A slice's bound as an index within [low, high], which negative numbers count back from `size`.
std::int64_t bound(const Value& value, std::int64_t otherwise, std::int64_t size, std::int64_t low,
                   std::int64_t high) {
    if (value.as<None>() != nullptr) return otherwise;
    const auto index = integer(value);
    if (!index) throw EvaluationError(fmt::format("a slice's bound is of type {}", type_name(value)));
    return std::clamp(*index < 0 ? std::max(*index, -size - 1) + size : *index, low, high);
}

}  // namespace

Value arithmetic(const std::string& name, const Value& left, const Value& right, Meter& meter) {
    if (name == "~") return to_text(left) + to_text(right);
    if (integer(left) && integer(right)) return integer_arithmetic(name, *integer(left), *integer(right));
    if (real(left) && real(right)) return real_arithmetic(name, *real(left), *real(right));
    if (name == "+" && left.as<std::string>() != nullptr && right.as<std::string>() != nullptr) {
        return *left.as<std::string>() + *right.as<std::string>();
    }
    if (name == "+" && left.list() != nullptr && right.list() != nullptr) {
        List items = items_of(left, meter);
        meter.spend(price_of(*right.list()));
        items.insert(items.end(), right.list()->begin(), right.list()->end());
        return make_list(std::move(items));
    }
    if (name == "*" && is_sequence(left) && integer(right)) return repeated(left, *integer(right), meter);
    if (name == "*" && integer(left) && is_sequence(right)) return repeated(right, *integer(left), meter);
    refuse_operands(name, left, right);
}

Value negative(const Value& value) {
    if (integer(value)) return integer_arithmetic("-", 0, *integer(value));
    if (const auto* number = value.as<double>()) return -*number;
    refuse_operands("-", std::int64_t{0}, value);
}

bool compare(const std::string& name, const Value& left, const Value& right, Meter& meter) {
    if (name == "==") return equal(left, right, meter);
    if (name == "!=") return !equal(left, right, meter);
    if (name == "in") return contains(left, right, meter);
    if (name == "not in") return !contains(left, right, meter);
    if (integer(left) && integer(right)) return ordered(name, *integer(left), *integer(right));
    if (real(left) && real(right)) return ordered(name, *real(left), *real(right));
    const auto* a = left.as<std::string>();
    const auto* b = right.as<std::string>();
    if (a != nullptr && b != nullptr) return ordered(name, *a, *b);
    refuse_operands(name, left, right);
}

Value subscript(const Value& value, const Value& key) {
    if (const auto* missing = value.as<Undefined>())
        throw EvaluationError(fmt::format("'{}' is undefined", missing->name));
    const auto* name = key.as<std::string>();
    const auto* space = value.as<Namespace>();
    const Dict* members = space != nullptr ? space->members : value.dict();
    if (members != nullptr && name != nullptr) {
        const Value* found = find(*members, *name);
        if (found != nullptr) return *found;
    }
    const auto index = integer(key);
    if (index && is_sequence(value)) {
        const auto size = static_cast<std::int64_t>(count_of(value));
        if (*index >= -size && *index < size) {
            const auto at = static_cast<std::size_t>(*index < 0 ? *index + size : *index);
            if (const List* items = value.list()) return (*items)[at];
            return std::string(part_of(*value.as<std::string>(), at, at + 1));
        }
    }
    return Undefined{name != nullptr ? *name : "an item"};
}

Value slice(const Value& value, const Value& start, const Value& stop, const Value& step, Meter& meter) {
    if (!is_sequence(value)) refuse_operands("[:]", value, None{});
    const auto* text = value.as<std::string>();
    const auto size = static_cast<std::int64_t>(count_of(value));
    const std::int64_t by = step.as<None>() != nullptr ? 1 : integer(step).value_or(0);
    if (by == 0) throw EvaluationError("a slice's step is zero or not a number");
    const std::int64_t low = by > 0 ? 0 : -1;
    const std::int64_t high = by > 0 ? size : size - 1;
    const std::int64_t from = bound(start, by > 0 ? low : high, size, low, high);
    const std::int64_t to = bound(stop, by > 0 ? high : low, size, low, high);
    if (text != nullptr && by == 1) {
        const auto begin = static_cast<std::size_t>(from);
        return std::string(part_of(*text, begin, static_cast<std::size_t>(std::max(from, to))));
    }
    const List items = items_of(value, meter);
    List taken;
    for (std::int64_t i = from; by > 0 ? i < to : i > to;) {
        taken.push_back(items[static_cast<std::size_t>(i)]);
        if (by > 0 ? to - i <= by : to - i >= by) break;  // the next step may not even fit 64 bits
        i += by;
    }
    if (text == nullptr) return make_list(std::move(taken));
    std::string result;
    for (const Value& character : taken) result += std::get<std::string>(character);
    return result;
}

}  // namespace sluice::jinja
