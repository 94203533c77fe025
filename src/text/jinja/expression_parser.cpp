#include "text/jinja/expression_parser.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace sluice::jinja {
namespace {

constexpr int kMaxNesting = 60;  // brackets within brackets
constexpr int kMaxDepth = 500;   // levels of a parsed expression: a + b + c has 3

bool is_operator(const LexToken& token, std::initializer_list<std::string_view> names) {
    return token.kind == TokenKind::Operator &&
           std::find(names.begin(), names.end(), token.text) != names.end();
}

Expression node(ExpressionKind kind, Place place) { return {kind, place, 1, "", None{}, {}, {}, {}}; }

ExpressionPtr own(Expression expression) { return std::make_unique<Expression>(std::move(expression)); }

ExpressionPtr constant(Place place, Value value) {
    Expression result = node(ExpressionKind::Constant, place);
    result.constant = std::move(value);
    return own(std::move(result));
}

}  // namespace

const LexToken& ExpressionParser::peek(std::size_t ahead) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

LexToken ExpressionParser::next() {
    const LexToken token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
}

bool ExpressionParser::next_is(TokenKind kind, std::string_view text) const {
    return peek().kind == kind && peek().text == text;
}

bool ExpressionParser::accept(TokenKind kind, std::string_view text) {
    const bool found = next_is(kind, text);
    if (found) next();
    return found;
}

void ExpressionParser::expect_token(TokenKind kind, std::string_view text) {
    if (!accept(kind, text)) unexpected(fmt::format("\"{}\"", text));
}

std::string ExpressionParser::expect_name() {
    if (peek().kind != TokenKind::Name) unexpected("a name");
    return next().text;
}

void ExpressionParser::unexpected(std::string_view wanted) const {
    const std::string found = peek().kind == TokenKind::End ? "the end" : fmt::format("\"{}\"", peek().text);
    refuse_template(peek(), fmt::format("expected {}, found {}", wanted, found));
}

ExpressionPtr ExpressionParser::finish(Expression expression) {
    int deepest = 0;
    const auto look = [&](const ExpressionPtr& part) {
        if (part != nullptr) deepest = std::max(deepest, part->depth);
    };
    for (const ExpressionPtr& part : expression.operands) look(part);
    for (const ExpressionPtr& part : expression.arguments.positional) look(part);
    for (const auto& [name, part] : expression.arguments.named) look(part);
    expression.depth = deepest + 1;
    if (expression.depth > kMaxDepth)
        refuse_template(peek(), fmt::format("an expression of more than {} levels", kMaxDepth));
    return own(std::move(expression));
}

template <class... Operands>
ExpressionPtr ExpressionParser::make(ExpressionKind kind, std::string name, Operands... operands) {
    Expression expression = node(kind, tokens_[at_ > 0 ? at_ - 1 : 0].place);
    expression.name = std::move(name);
    (expression.operands.push_back(std::move(operands)), ...);
    if (!expression.operands.empty()) expression.place = expression.operands[0]->place;
    return finish(std::move(expression));
}

ExpressionPtr ExpressionParser::expression() {
    if (++nesting_ > kMaxNesting)
        refuse_template(peek(), fmt::format("expressions nested deeper than {}", kMaxNesting));
    ExpressionPtr value = disjunction();
    while (accept(TokenKind::Name, "if")) {
        ExpressionPtr condition = disjunction();
        ExpressionPtr otherwise;
        if (accept(TokenKind::Name, "else")) {
            otherwise = expression();
        } else {
            otherwise = constant(peek().place, Undefined{"the value of an if without else"});
        }
        value = make(ExpressionKind::Conditional, "", std::move(condition), std::move(value),
                     std::move(otherwise));
    }
    --nesting_;
    return value;
}

ExpressionPtr ExpressionParser::tuple(bool with_conditionals) {
    const auto item = [&] { return with_conditionals ? expression() : disjunction(); };
    ExpressionPtr first = item();
    if (!next_is(TokenKind::Operator, ",")) return first;
    Expression items = node(ExpressionKind::MakeList, first->place);
    items.operands.push_back(std::move(first));
    while (accept(TokenKind::Operator, ",")) {
        if (peek().kind == TokenKind::BlockEnd || next_is(TokenKind::Operator, ")")) break;
        items.operands.push_back(item());
    }
    return finish(std::move(items));
}

ExpressionPtr ExpressionParser::disjunction() {
    ExpressionPtr left = conjunction();
    while (accept(TokenKind::Name, "or")) left = make(ExpressionKind::Or, "", std::move(left), conjunction());
    return left;
}

ExpressionPtr ExpressionParser::conjunction() {
    ExpressionPtr left = negation();
    while (accept(TokenKind::Name, "and")) left = make(ExpressionKind::And, "", std::move(left), negation());
    return left;
}

ExpressionPtr ExpressionParser::negation() {
    int count = 0;
    while (accept(TokenKind::Name, "not")) ++count;
    ExpressionPtr operand = comparison();
    for (; count > 0; --count) operand = make(ExpressionKind::Not, "", std::move(operand));
    return operand;
}

ExpressionPtr ExpressionParser::comparison() {
    ExpressionPtr first = sum();
    Expression chain = node(ExpressionKind::Comparison, first->place);
    while (true) {
        if (is_operator(peek(), {"==", "!=", "<", "<=", ">", ">="}) || next_is(TokenKind::Name, "in")) {
            chain.names.push_back(next().text);
        } else if (next_is(TokenKind::Name, "not") && peek(1).kind == TokenKind::Name &&
                   peek(1).text == "in") {
            next();
            next();
            chain.names.emplace_back("not in");
        } else {
            break;
        }
        if (first != nullptr) chain.operands.push_back(std::move(first));
        chain.operands.push_back(sum());
    }
    return chain.names.empty() ? std::move(first) : finish(std::move(chain));
}

ExpressionPtr ExpressionParser::sum() {
    ExpressionPtr left = concatenation();
    while (is_operator(peek(), {"+", "-"})) {
        const std::string name = next().text;
        left = make(ExpressionKind::Arithmetic, name, std::move(left), concatenation());
    }
    return left;
}

ExpressionPtr ExpressionParser::concatenation() {
    ExpressionPtr left = product();
    while (accept(TokenKind::Operator, "~")) {
        left = make(ExpressionKind::Arithmetic, "~", std::move(left), product());
    }
    return left;
}

ExpressionPtr ExpressionParser::product() {
    ExpressionPtr left = unary(true);
    while (is_operator(peek(), {"*", "/", "//", "%"})) {
        const std::string name = next().text;
        left = make(ExpressionKind::Arithmetic, name, std::move(left), unary(true));
    }
    if (next_is(TokenKind::Operator, "**")) refuse_template(peek(), "the operator ** is not supported");
    return left;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
    if (++nesting_ > kMaxNesting)
        refuse_template(peek(), fmt::format("expressions nested deeper than {}", kMaxNesting));
    ExpressionPtr operand;
    if (accept(TokenKind::Operator, "-")) {
        operand = make(ExpressionKind::Negative, "", unary(false));
    } else if (accept(TokenKind::Operator, "+")) {
        operand = make(ExpressionKind::Positive, "", unary(false));
    } else {
        operand = primary();
    }
    operand = postfix(std::move(operand));
    if (with_filters) operand = filters(std::move(operand));
    --nesting_;
    return operand;
}

ExpressionPtr ExpressionParser::primary() {
    const LexToken token = peek();
    const auto literal = [&](Value value) {
        next();
        return constant(token.place, std::move(value));
    };
    if (token.kind == TokenKind::Name) {
        if (token.text == "true" || token.text == "True") return literal(true);
        if (token.text == "false" || token.text == "False") return literal(false);
        if (token.text == "none" || token.text == "None") return literal(None{});
        for (const char* word : {"if", "else", "in", "is", "and", "or", "not"}) {
            if (token.text == word) unexpected("a value");
        }
        next();
        return make(ExpressionKind::Variable, token.text);
    }
    if (token.kind == TokenKind::String) {
        std::string text;
        while (peek().kind == TokenKind::String) text += next().text;  // neighbours are joined
        return constant(token.place, std::move(text));
    }
    if (token.kind == TokenKind::Integer) {
        std::int64_t value = 0;
        const char* end = token.text.data() + token.text.size();
        if (std::from_chars(token.text.data(), end, value).ec != std::errc()) unexpected("a smaller number");
        return literal(value);
    }
    if (token.kind == TokenKind::Float) return literal(std::stod(token.text));
    if (next_is(TokenKind::Operator, "(")) return parenthesis();
    if (next_is(TokenKind::Operator, "[")) return list();
    if (next_is(TokenKind::Operator, "{")) return dict();
    unexpected("a value");
}

ExpressionPtr ExpressionParser::parenthesis() {
    const Place place = next().place;
    if (accept(TokenKind::Operator, ")")) return finish(node(ExpressionKind::MakeList, place));
    ExpressionPtr value = tuple();
    expect_token(TokenKind::Operator, ")");
    return value;
}

ExpressionPtr ExpressionParser::list() {
    Expression items = node(ExpressionKind::MakeList, peek().place);
    expect_token(TokenKind::Operator, "[");
    while (!accept(TokenKind::Operator, "]")) {
        if (!items.operands.empty()) expect_token(TokenKind::Operator, ",");
        if (accept(TokenKind::Operator, "]")) break;
        items.operands.push_back(expression());
    }
    return finish(std::move(items));
}

ExpressionPtr ExpressionParser::dict() {
    Expression items = node(ExpressionKind::MakeDict, peek().place);
    expect_token(TokenKind::Operator, "{");
    while (!accept(TokenKind::Operator, "}")) {
        if (!items.operands.empty()) expect_token(TokenKind::Operator, ",");
        if (accept(TokenKind::Operator, "}")) break;
        items.operands.push_back(expression());
        expect_token(TokenKind::Operator, ":");
        items.operands.push_back(expression());
    }
    return finish(std::move(items));
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr operand) {
    while (true) {
        if (accept(TokenKind::Operator, ".")) {
            operand = make(ExpressionKind::Attribute, expect_name(), std::move(operand));
        } else if (next_is(TokenKind::Operator, "[")) {
            operand = subscript(std::move(operand));
        } else if (next_is(TokenKind::Operator, "(")) {
            operand = call(std::move(operand));
        } else {
            return operand;
        }
    }
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr operand) {
    expect_token(TokenKind::Operator, "[");
    std::vector<ExpressionPtr> parts;
    bool is_slice = false;
    const auto part = [&] {
        const bool left_out = next_is(TokenKind::Operator, ":") || next_is(TokenKind::Operator, "]");
        parts.push_back(left_out ? constant(peek().place, None{}) : expression());
    };
    if (next_is(TokenKind::Operator, "]")) unexpected("a subscript");
    part();
    while (parts.size() < 3 && accept(TokenKind::Operator, ":")) {
        is_slice = true;
        part();
    }
    expect_token(TokenKind::Operator, "]");
    if (!is_slice) return make(ExpressionKind::Subscript, "", std::move(operand), std::move(parts[0]));
    if (parts.size() < 3) parts.push_back(constant(peek().place, None{}));
    return make(ExpressionKind::Slice, "", std::move(operand), std::move(parts[0]), std::move(parts[1]),
                std::move(parts[2]));
}

Arguments ExpressionParser::arguments() {
    Arguments result;
    expect_token(TokenKind::Operator, "(");
    while (!accept(TokenKind::Operator, ")")) {
        if (!result.positional.empty() || !result.named.empty()) expect_token(TokenKind::Operator, ",");
        if (accept(TokenKind::Operator, ")")) break;
        if (is_operator(peek(), {"*", "**"})) refuse_template(peek(), "unpacking arguments is not supported");
        if (peek().kind == TokenKind::Name && is_operator(peek(1), {"="})) {
            std::string name = next().text;
            next();
            result.named.emplace_back(std::move(name), expression());
        } else {
            if (!result.named.empty()) unexpected("a named argument");
            result.positional.push_back(expression());
        }
    }
    return result;
}

ExpressionPtr ExpressionParser::call(ExpressionPtr callee) {
    Expression result = node(ExpressionKind::Call, callee->place);
    if (callee->kind == ExpressionKind::Attribute) {
        result.kind = ExpressionKind::CallMethod;
        result.name = callee->name;
        result.operands.push_back(std::move(callee->operands[0]));
    } else {
        result.operands.push_back(std::move(callee));
    }
    result.arguments = arguments();
    return finish(std::move(result));
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr operand) {
    while (true) {
        if (accept(TokenKind::Operator, "|")) {
            operand = filter(std::move(operand));
        } else if (accept(TokenKind::Name, "is")) {
            operand = test(std::move(operand));
        } else if (next_is(TokenKind::Operator, "(") || next_is(TokenKind::Operator, ".") ||
                   next_is(TokenKind::Operator, "[")) {
            unexpected("an operator: a filter's value needs parentheses here");
        } else {
            return operand;
        }
    }
}

ExpressionPtr ExpressionParser::filter(ExpressionPtr operand) {
    Expression result = node(ExpressionKind::Filter, peek().place);
    result.name = expect_name();
    result.operands.push_back(std::move(operand));
    if (next_is(TokenKind::Operator, "(")) result.arguments = arguments();
    return finish(std::move(result));
}

// A test takes arguments in parentheses, or one without.
ExpressionPtr ExpressionParser::test(ExpressionPtr operand) {
    const bool negated = accept(TokenKind::Name, "not");
    Expression result = node(ExpressionKind::Test, peek().place);
    result.name = expect_name();
    result.operands.push_back(std::move(operand));
    const TokenKind kind = peek().kind;
    const bool ends =
        next_is(TokenKind::Name, "else") || next_is(TokenKind::Name, "or") || next_is(TokenKind::Name, "and");
    if (next_is(TokenKind::Operator, "(")) {
        result.arguments = arguments();
    } else if ((kind == TokenKind::Name && !ends) || kind == TokenKind::String ||
               kind == TokenKind::Integer || kind == TokenKind::Float || is_operator(peek(), {"[", "{"})) {
        if (next_is(TokenKind::Name, "is")) unexpected("an operator: tests cannot be chained");
        result.arguments.positional.push_back(postfix(primary()));
    }
    ExpressionPtr value = finish(std::move(result));
    return negated ? make(ExpressionKind::Not, "", std::move(value)) : std::move(value);
}

}  // namespace sluice::jinja
