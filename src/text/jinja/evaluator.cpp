#include "text/jinja/evaluator.hpp"

#include "text/jinja/builtins.hpp"
#include "text/jinja/operators.hpp"
#include "text/template_refusal.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

namespace sluice::jinja {
namespace {

constexpr int kMaxLevels = 500;  // expressions, statements and macros within one another

class Evaluator {
public:
    Evaluator(Dict variables, std::uint64_t allowance) : meter_(allowance) {
        // Not strftime_now, which transformers gives: a completion must not depend on the day. Templates that
        // can do without it ask whether it is defined.
        scopes_.emplace_back();
        for (const char* name : {"namespace", "raise_exception", "range", "dict"})
            scopes_.back().emplace_back(name, Callable{name});
        scopes_.push_back(std::move(variables));
    }

    std::string text_of(const Block& block) {
        run(block);
        return std::move(text_);
    }

private:
    enum class Flow { On, Break, Continue };

    // One level deeper; refuses where the stack might end.
    class Level {
    public:
        explicit Level(int& levels) : levels_(levels) {
            if (++levels_ > kMaxLevels) {
                --levels_;
                throw EvaluationError(fmt::format("more than {} levels of evaluation", kMaxLevels));
            }
        }
        ~Level() { --levels_; }
        Level(const Level&) = delete;
        Level& operator=(const Level&) = delete;

    private:
        int& levels_;
    };

    [[noreturn]] static void refuse(const Place& place, const std::string& message) {
        throw TemplateRefusal(
            fmt::format("chat template, line {}, column {}: {}", place.line, place.column, message));
    }

    Flow run(const Block& block) {
        for (const Statement& statement : block) {
            if (const Flow flow = run(statement); flow != Flow::On) return flow;
        }
        return Flow::On;
    }

    Flow run(const Statement& statement) {
        try {
            const Level level(levels_);
            meter_.spend(Meter::kStep);
            return execute(statement);
        } catch (const EvaluationError& error) {
            refuse(statement.place, error.what());
        }
    }

    Flow execute(const Statement& statement) {
        switch (statement.kind) {
            case StatementKind::Text: write(statement.text); break;
            case StatementKind::Output: write(to_text(value_of(*statement.expression))); break;
            case StatementKind::If: return run_if(statement);
            case StatementKind::For: return run_for(statement);
            case StatementKind::Set: bind(statement.targets, value_of(*statement.expression)); break;
            case StatementKind::SetMember: set_member(statement); break;
            case StatementKind::SetBlock:
                assign(scopes_.back(), statement.targets[0], captured(statement.body));
                break;
            case StatementKind::Macro:
                assign(scopes_.back(), statement.text, Callable{statement.text, &statement, scopes_.size()});
                break;
            case StatementKind::Scope: run_in_scope(statement.body); break;
            case StatementKind::Break: return Flow::Break;
            case StatementKind::Continue: return Flow::Continue;
        }
        return Flow::On;
    }

    void write(const std::string& text) {
        meter_.spend(text.size());
        text_ += text;
    }

    Flow run_if(const Statement& statement) {
        for (const Branch& branch : statement.branches) {
            if (branch.condition == nullptr || truth(value_of(*branch.condition))) return run(branch.body);
        }
        return Flow::On;
    }

    Flow run_in_scope(const Block& block) {
        scopes_.emplace_back();
        const Flow flow = run(block);
        scopes_.pop_back();
        return flow;
    }

    // What the block writes, instead of writing it.
    std::string captured(const Block& block) {
        std::string before = std::exchange(text_, {});
        run_in_scope(block);
        return std::exchange(text_, std::move(before));
    }

    // What is set inside a loop's body ends with the turn; only a namespace outlives it.
    Flow run_for(const Statement& statement) {
        List items = items_of(value_of(*statement.expression), meter_);
        if (statement.condition != nullptr) {
            std::erase_if(items, [&](const Value& item) {
                scopes_.emplace_back();
                bind(statement.targets, item);
                const bool wanted = truth(value_of(*statement.condition));
                scopes_.pop_back();
                return !wanted;
            });
        }
        bool any_whole_turn = false;  // break and continue make none, as in Jinja
        for (std::size_t i = 0; i < items.size(); ++i) {
            meter_.spend(price_of(items[i]), 4);  // of this turn and both neighbours'
            scopes_.emplace_back();
            assign(scopes_.back(), "loop", loop_value(items, i));
            bind(statement.targets, items[i]);
            const Flow flow = run(statement.body);
            scopes_.pop_back();
            if (flow == Flow::Break) break;
            any_whole_turn = any_whole_turn || flow == Flow::On;
        }
        if (!any_whole_turn) run_in_scope(statement.otherwise);
        return Flow::On;
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
        const List items = items_of(value, meter_);
        if (items.size() != targets.size())
            throw EvaluationError(fmt::format("{} values for {} names", items.size(), targets.size()));
        for (std::size_t i = 0; i < targets.size(); ++i) assign(scopes_.back(), targets[i], items[i]);
    }

    void set_member(const Statement& statement) {
        const Value space = variable(statement.targets[0]);
        const auto* target = space.as<Namespace>();
        if (target == nullptr)
            throw EvaluationError(
                fmt::format("cannot set a member of '{}': it is no namespace", statement.targets[0]));
        assign(*target->members, statement.targets[1], value_of(*statement.expression));
    }

    Value variable(const std::string& name) const {
        for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
            if (const Value* value = find(*scope, name)) return *value;
        }
        return Undefined{name};
    }

    Value value_of(const Expression& e) {
        try {
            const Level level(levels_);
            meter_.spend(Meter::kStep);
            Value value = compute(e);
            if (const auto* text = value.as<std::string>()) meter_.spend(text->size());
            return value;
        } catch (const EvaluationError& error) {
            refuse(e.place, error.what());
        }
    }

    Value compute(const Expression& e) {
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
            case ExpressionKind::Arithmetic: {
                const Value left = operand(0);
                return arithmetic(e.name, left, operand(1), meter_);
            }
            case ExpressionKind::Comparison: return comparison(e);
            case ExpressionKind::Conditional: return operand(truth(operand(0)) ? 1 : 2);
            case ExpressionKind::Attribute: return subscript(operand(0), e.name);
            case ExpressionKind::Subscript: return subscript(operand(0), operand(1));
            case ExpressionKind::Slice: return slice(operand(0), operand(1), operand(2), operand(3), meter_);
            case ExpressionKind::Call: return call(operand(0), arguments(e));
            case ExpressionKind::CallMethod: return method(e, operand(0));
            case ExpressionKind::Filter: return apply_filter(e.name, operand(0), arguments(e), meter_);
            case ExpressionKind::Test: return apply_test(e.name, operand(0), arguments(e), meter_);
        }
        throw EvaluationError("an expression of an unknown kind");
    }

    Value list(const Expression& e) {
        meter_.spend(Meter::kItem, e.operands.size());
        List items;
        for (const ExpressionPtr& item : e.operands) items.push_back(value_of(*item));
        return make_list(std::move(items));
    }

    Value dict(const Expression& e) {
        meter_.spend(Meter::kItem, e.operands.size());
        Dict members;
        for (std::size_t i = 0; i < e.operands.size(); i += 2) {
            const Value key = value_of(*e.operands[i]);
            const auto* name = key.as<std::string>();
            if (name == nullptr)
                throw EvaluationError(fmt::format("a dict's key is of type {}, not str", type_name(key)));
            assign(members, *name, value_of(*e.operands[i + 1]));
        }
        return make_dict(std::move(members));
    }

    Value comparison(const Expression& e) {
        Value left = value_of(*e.operands[0]);
        for (std::size_t i = 0; i < e.names.size(); ++i) {
            Value right = value_of(*e.operands[i + 1]);
            if (!compare(e.names[i], left, right, meter_)) return false;
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

    // A namespace's member may be a macro.
    Value method(const Expression& e, const Value& subject) {
        if (subject.as<Namespace>() != nullptr) return call(subscript(subject, e.name), arguments(e));
        return call_method(e.name, subject, arguments(e), meter_);
    }

    Value call(const Value& callee, CallArguments values) {
        if (const auto* missing = callee.as<Undefined>()) {
            throw EvaluationError(
                missing->name == "strftime_now"
                    ? "strftime_now is not supported: completions do not depend on the day they are made"
                    : fmt::format("'{}' is undefined", missing->name));
        }
        const auto* function = callee.as<Callable>();
        if (function == nullptr)
            throw EvaluationError(fmt::format("a value of type {} is no function", type_name(callee)));
        if (function->macro != nullptr) return call_macro(*function, values);
        if (function->name == "raise_exception") {
            const Value* message = values.get(0, "message");
            throw TemplateRefusal(message != nullptr ? to_text(*message) : "raise_exception");
        }
        if (function->name != "namespace") return call_function(function->name, values, meter_);
        if (!values.positional.empty())
            throw EvaluationError("namespace: only named arguments are supported");
        return Namespace{namespaces_.emplace_back(std::make_unique<Dict>(std::move(values.named))).get()};
    }

    // Runs in the scopes that the macro was defined in.
    Value call_macro(const Callable& macro, const CallArguments& values) {
        const Statement& definition = *macro.macro;
        if (values.positional.size() > definition.targets.size())
            throw EvaluationError(fmt::format("{}: too many arguments", macro.name));
        for (const auto& [name, value] : values.named) {
            if (std::ranges::find(definition.targets, name) == definition.targets.end())
                throw EvaluationError(fmt::format("{} has no parameter {}", macro.name, name));
        }
        std::vector<Dict> hidden;
        const auto visible = static_cast<std::ptrdiff_t>(std::min(macro.scopes, scopes_.size()));
        std::move(scopes_.begin() + visible, scopes_.end(), std::back_inserter(hidden));
        scopes_.erase(scopes_.begin() + visible, scopes_.end());
        scopes_.emplace_back();
        for (std::size_t i = 0; i < definition.targets.size(); ++i) {
            const std::string& name = definition.targets[i];
            const Value* given = values.get(i, name);
            const Expression* otherwise = definition.defaults[i].get();
            assign(scopes_.back(), name,
                   given != nullptr       ? *given
                   : otherwise != nullptr ? value_of(*otherwise)
                                          : Value(Undefined{name}));
        }
        std::string text = captured(definition.body);
        scopes_.pop_back();
        std::move(hidden.begin(), hidden.end(), std::back_inserter(scopes_));
        return text;
    }

    Meter meter_;
    int levels_ = 0;
    std::vector<Dict> scopes_;
    std::vector<std::unique_ptr<Dict>> namespaces_;
    std::string text_;
};

}  // namespace

std::string render(const Block& block, Dict variables, std::uint64_t allowance) {
    return Evaluator(std::move(variables), allowance).text_of(block);
}

}  // namespace sluice::jinja
