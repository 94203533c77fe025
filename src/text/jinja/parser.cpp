#include "text/jinja/parser.hpp"

#include "text/jinja/expression_parser.hpp"

#include <fmt/core.h>

#include <initializer_list>

namespace sluice::jinja {
namespace {

constexpr int kMaxBlocks = 50;  // blocks within blocks

class Parser {
public:
    explicit Parser(const std::string& source) : tokens_(lex(source)) {}

    Block run() {
        Block block = body({});
        if (tokens_.peek().kind != TokenKind::End) tokens_.unexpected("the end of the template");
        return block;
    }

private:
    // Statements up to a tag that begins with one of `ends`; that word is the next token then.
    Block body(std::initializer_list<std::string_view> ends) {
        if (++nesting_ > kMaxBlocks) {
            refuse_template(tokens_.peek(), fmt::format("blocks nested deeper than {}", kMaxBlocks));
        }
        Block block;
        while (tokens_.peek().kind != TokenKind::End) {
            const LexToken token = tokens_.next();
            if (token.kind == TokenKind::Text) {
                block.push_back(make(StatementKind::Text, token.line));
                block.back().text = token.text;
            } else if (token.kind == TokenKind::OutputBegin) {
                block.push_back(make(StatementKind::Output, token.line));
                block.back().expression = tokens_.tuple();
                tokens_.expect_token(TokenKind::OutputEnd, "}}");
            } else if (at_one_of(ends)) {
                --nesting_;
                return block;
            } else {
                block.push_back(statement());
            }
        }
        if (ends.size() > 0) tokens_.unexpected(fmt::format("{{% {} %}}", *(ends.end() - 1)));
        --nesting_;
        return block;
    }

    bool at_one_of(std::initializer_list<std::string_view> words) const {
        for (const std::string_view word : words) {
            if (tokens_.next_is(TokenKind::Name, word)) return true;
        }
        return false;
    }

    static Statement make(StatementKind kind, int line) {
        return {kind, line, "", nullptr, nullptr, {}, {}, {}, {}};
    }

    void end_tag() { tokens_.expect_token(TokenKind::BlockEnd, "%}"); }

    Statement statement() {
        const LexToken word = tokens_.peek();
        if (tokens_.accept(TokenKind::Name, "if")) return if_statement(word.line);
        if (tokens_.accept(TokenKind::Name, "for")) return for_statement(word.line);
        if (tokens_.accept(TokenKind::Name, "set")) return set_statement(word.line);
        refuse_template(word, fmt::format("the tag \"{}\" is not supported", word.text));
    }

    Statement if_statement(int line) {
        Statement result = make(StatementKind::If, line);
        while (true) {
            ExpressionPtr condition = tokens_.tuple();
            end_tag();
            result.branches.push_back({std::move(condition), body({"elif", "else", "endif"})});
            if (!tokens_.accept(TokenKind::Name, "elif")) break;
        }
        if (tokens_.accept(TokenKind::Name, "else")) {
            end_tag();
            result.branches.push_back({nullptr, body({"endif"})});
        }
        tokens_.expect_token(TokenKind::Name, "endif");
        end_tag();
        return result;
    }

    std::vector<std::string> targets() {
        const bool bracket = tokens_.accept(TokenKind::Operator, "(");
        std::vector<std::string> names = {tokens_.expect_name()};
        while (tokens_.accept(TokenKind::Operator, ",")) names.push_back(tokens_.expect_name());
        if (bracket) tokens_.expect_token(TokenKind::Operator, ")");
        return names;
    }

    Statement for_statement(int line) {
        Statement result = make(StatementKind::For, line);
        result.targets = targets();
        tokens_.expect_token(TokenKind::Name, "in");
        result.expression = tokens_.disjunction();
        if (tokens_.accept(TokenKind::Name, "if")) result.condition = tokens_.expression();
        if (tokens_.next_is(TokenKind::Name, "recursive")) {
            refuse_template(tokens_.peek(), "a recursive loop is not supported");
        }
        end_tag();
        result.body = body({"else", "endfor"});
        if (tokens_.accept(TokenKind::Name, "else")) {
            end_tag();
            result.otherwise = body({"endfor"});
        }
        tokens_.expect_token(TokenKind::Name, "endfor");
        end_tag();
        return result;
    }

    Statement set_statement(int line) {
        Statement result = make(StatementKind::Set, line);
        result.targets = targets();
        if (result.targets.size() == 1 && tokens_.accept(TokenKind::Operator, ".")) {
            result.kind = StatementKind::SetMember;
            result.targets.push_back(tokens_.expect_name());
        }
        if (tokens_.peek().kind == TokenKind::BlockEnd) {
            refuse_template(tokens_.peek(), "a set block ({% set x %}...{% endset %}) is not supported");
        }
        tokens_.expect_token(TokenKind::Operator, "=");
        result.expression = tokens_.tuple();
        end_tag();
        return result;
    }

    ExpressionParser tokens_;
    int nesting_ = 0;
};

}  // namespace

Block parse(const std::string& source) { return Parser(source).run(); }

}  // namespace sluice::jinja
