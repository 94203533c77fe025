// The expressions inside a template's tags.
#pragma once

#include "text/jinja/ast.hpp"
#include "text/jinja/lexer.hpp"

#include <string_view>

namespace sluice::jinja {

// Reads tokens from left to right. Nesting is bounded, so hostile templates cannot exhaust the stack.
class ExpressionParser {
public:
    explicit ExpressionParser(std::vector<LexToken> tokens) : tokens_(std::move(tokens)) {}

    const LexToken& peek(std::size_t ahead = 0) const;
    LexToken next();
    bool next_is(TokenKind kind, std::string_view text) const;
    bool accept(TokenKind kind, std::string_view text);
    void expect_token(TokenKind kind, std::string_view text);
    std::string expect_name();
    [[noreturn]] void unexpected(std::string_view wanted) const;

    ExpressionPtr expression();  // with "a if b else c"
    // a, b: a list; what `in` and `=` of statements take
    ExpressionPtr tuple(bool with_conditionals = true);

private:
    ExpressionPtr disjunction();
    ExpressionPtr conjunction();
    ExpressionPtr negation();
    ExpressionPtr comparison();
    ExpressionPtr sum();
    ExpressionPtr concatenation();
    ExpressionPtr product();
    ExpressionPtr unary(bool with_filters);
    ExpressionPtr primary();
    ExpressionPtr parenthesis();
    ExpressionPtr list();
    ExpressionPtr dict();
    ExpressionPtr postfix(ExpressionPtr operand);
    ExpressionPtr filters(ExpressionPtr operand);
    ExpressionPtr subscript(ExpressionPtr operand);
    ExpressionPtr call(ExpressionPtr callee);
    ExpressionPtr filter(ExpressionPtr operand);
    ExpressionPtr test(ExpressionPtr operand);
    Arguments arguments();

    template <class... Operands>
    ExpressionPtr make(ExpressionKind kind, std::string name, Operands... operands);
    ExpressionPtr finish(Expression expression);

    std::vector<LexToken> tokens_;  // ends with TokenKind::End
    std::size_t at_ = 0;
    int nesting_ = 0;
};

}  // namespace sluice::jinja
