#include "text/jinja/evaluator.hpp"

#include "text/jinja/builtins.hpp"
#include "text/jinja/operators.hpp"

#include <fmt/core.h>

namespace sluice::jinja {
namespace {

class Evaluator {
public:
    explicit Evaluator(Dict variables) { scopes_.push_back(std::move(variables)); }

    void run(const Block& block) {
        for (const Statement& statement : block) run(statement);
    }

    std::string take_text() { return std::move(text_); }

private:
    void run(const Statement& statement) {
        switch (statement.kind) {
            case StatementKind::Text: text_ += statement.text; break;
            case StatementKind::Output: text_ += to_text(value_of(*statement.expression)); break;
            case StatementKind::If: run_if(statement); break;
            case StatementKind::For: run_for(statement); break;
            case StatementKind::Set: bind(statement.targets, value_of(*statement.expression)); break;
            case StatementKind::SetMember: set_member(statement); break;
        }
    }

    void run_if(const Statement& statement) {
        for (const Branch& branch : statement.branches) {
            if (branch.condition == nullptr || truth(value_of(*branch.condition))) return run(branch.body);
        }
    }

    // What is set inside a loop's body ends with the turn; only a namespace outlives it.
    void run_for(const Statement& statement) {
        List items;
        for (const Value& item : items_of(value_of(*statement.expression))) {
            if (statement.condition != nullptr) {
                scopes_.emplace_back();
                bind(statement.targets, item);
                const bool wanted = truth(value_of(*statement.condition));
                scopes_.pop_back();
                if (!wanted) continue;
            }
            items.push_back(item);
        }
        for (std::size_t i = 0; i < items.size(); ++i) {
            scopes_.emplace_back();
            assign(scopes_.back(), "loop", loop_value(items, i));
            bind(statement.targets, items[i]);
            run(statement.body);
            scopes_.pop_back();
        }
        if (items.empty()) run(statement.otherwise);
    }

    static Value loop_value(const List& items, std::size_t i) {
        const auto index = static_cast<std::int64_t>(i);
        const auto size = static_cast<std::int64_t>(items.size());
        const bool last = i + 1 == items.size();
        return make_dict({{"index", index + 1},
                          {"index0", index},
                          {"revindex", size - index},
                          {"revindex0", size - index - 1},
                          {"first", i == 0},
                          {"last", last},
                          {"length", size},
                          {"previtem", i == 0 ? Value(Undefined{"loop.previtem"}) : items[i - 1]},
                          {"nextitem", last ? Value(Undefined{"loop.nextitem"}) : items[i + 1]}});
    }

    void bind(const std::vector<std::string>& targets, const Value& value) {
        if (targets.size() == 1) return assign(scopes_.back(), targets[0], value);
        const List items = items_of(value);
        if (items.size() != targets.size()) {
            throw TemplateRefusal(fmt::format("{} values for {} names", items.size(), targets.size()));
        }
        for (std::size_t i = 0; i < targets.size(); ++i) assign(scopes_.back(), targets[i], items[i]);
    }

    void set_member(const Statement& statement) {
        const Value space = variable(statement.targets[0]);
        const auto* target = space.as<Namespace>();
        if (target == nullptr) {
            refuse(statement.line,
                   fmt::format("cannot set a member of '{}': it is no namespace", statement.targets[0]));
        }
        assign(*target->members, statement.targets[1], value_of(*statement.expression));
    }

    Value variable(const std::string& name) const {
        for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
            if (const Value* value = find(*scope, name)) return *value;
        }
        return Undefined{name};
    }

    [[noreturn]] static void refuse(int line, const std::string& message) {
        throw TemplateRefusal(fmt::format("chat template, line {}: {}", line, message));
    }

    Value value_of(const Expression& e) {
        const auto operand = [&](std::size_t i) { return value_of(*e.operands[i]); };
        switch (e.kind) {
            case ExpressionKind::Constant: return e.constant;
            case ExpressionKind::Variable: return variable(e.name);
            case ExpressionKind::MakeList: return list(e);
            case ExpressionKind::MakeDict: return dict(e);
            case ExpressionKind::Not: return !truth(operand(0));
            case ExpressionKind::Negative: return negative(operand(0));
            case ExpressionKind::Positive: return negative(negative(operand(0)));
            case ExpressionKind::And: {
                Value left = operand(0);
                return truth(left) ? operand(1) : left;
            }
            case ExpressionKind::Or: {
                Value left = operand(0);
                return truth(left) ? left : operand(1);
            }
            case ExpressionKind::Arithmetic: return arithmetic(e.name, operand(0), operand(1));
            case ExpressionKind::Comparison: return comparison(e);
            case ExpressionKind::Conditional: return operand(truth(operand(0)) ? 1 : 2);
            case ExpressionKind::Attribute: return subscript(operand(0), e.name);
            case ExpressionKind::Subscript: return subscript(operand(0), operand(1));
            case ExpressionKind::Slice: return slice(operand(0), operand(1), operand(2), operand(3));
            case ExpressionKind::CallFunction: return call_function(e);
            case ExpressionKind::CallMethod: return call_method(e.name, operand(0), arguments(e));
            case ExpressionKind::Filter: return apply_filter(e.name, operand(0), arguments(e));
            case ExpressionKind::Test: return apply_test(e.name, operand(0));
        }
        refuse(e.line, "an expression of an unknown kind");
    }

    Value list(const Expression& e) {
        List items;
        for (const ExpressionPtr& item : e.operands) items.push_back(value_of(*item));
        return make_list(std::move(items));
    }

    Value dict(const Expression& e) {
        Dict members;
        for (std::size_t i = 0; i < e.operands.size(); i += 2) {
            const Value key = value_of(*e.operands[i]);
            const auto* name = key.as<std::string>();
            if (name == nullptr)
                refuse(e.line, fmt::format("a dict's key is of type {}, not str", type_name(key)));
            assign(members, *name, value_of(*e.operands[i + 1]));
        }
        return make_dict(std::move(members));
    }

    Value comparison(const Expression& e) {
        Value left = value_of(*e.operands[0]);
        for (std::size_t i = 0; i < e.names.size(); ++i) {
            Value right = value_of(*e.operands[i + 1]);
            if (!compare(e.names[i], left, right)) return false;
            left = std::move(right);
        }
        return true;
    }

    CallArguments arguments(const Expression& e) {
        CallArguments values;
        for (const ExpressionPtr& value : e.arguments.positional)
            values.positional.push_back(value_of(*value));
        for (const auto& [name, value] : e.arguments.named) assign(values.named, name, value_of(*value));
        return values;
    }

    // The functions that a chat template is given. A template may name others where a condition keeps it from
    // calling them.
    Value call_function(const Expression& e) {
        CallArguments values = arguments(e);
        if (e.name == "namespace" && values.positional.empty()) {
            return Namespace{std::make_shared<Dict>(std::move(values.named))};
        }
        const Value* message = values.get(0, "message");
        if (e.name == "raise_exception" && message != nullptr) throw TemplateRefusal(to_text(*message));
        refuse(e.line, fmt::format("the function {} is not supported with these arguments", e.name));
    }

    std::vector<Dict> scopes_;
    std::string text_;
};

}  // namespace

std::string render(const Block& block, Dict variables) {
    Evaluator evaluator(std::move(variables));
    evaluator.run(block);
    return evaluator.take_text();
}

}  // namespace sluice::jinja
