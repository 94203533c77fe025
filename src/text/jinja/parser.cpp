#include "text/jinja/parser.hpp"

#include "text/jinja/expression_parser.hpp"

#include <fmt/core.h>

#include <initializer_list>
#include <utility>

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
                block.push_back(make(StatementKind::Text, token.place));
                block.back().text = token.text;
            } else if (token.kind == TokenKind::OutputBegin) {
                block.push_back(make(StatementKind::Output, token.place));
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

    static Statement make(StatementKind kind, Place place) {
        return {kind, place, "", nullptr, nullptr, {}, {}, {}, {}, {}};
    }

    void end_tag() { tokens_.expect_token(TokenKind::BlockEnd, "%}"); }

    Statement statement() {
        const LexToken word = tokens_.peek();
        if (tokens_.accept(TokenKind::Name, "if")) return if_statement(word.place);
        if (tokens_.accept(TokenKind::Name, "for")) return for_statement(word.place);
        if (tokens_.accept(TokenKind::Name, "set")) return set_statement(word.place);
        if (tokens_.accept(TokenKind::Name, "macro")) return macro_statement(word.place);
        if (tokens_.accept(TokenKind::Name, "generation")) return generation_statement(word.place);
        if (tokens_.accept(TokenKind::Name, "break")) return jump(StatementKind::Break, word);
        if (tokens_.accept(TokenKind::Name, "continue")) return jump(StatementKind::Continue, word);
        refuse_template(word, fmt::format("the tag \"{}\" is not supported", word.text));
    }

    Statement if_statement(Place place) {
        Statement result = make(StatementKind::If, place);
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

    Statement for_statement(Place place) {
        Statement result = make(StatementKind::For, place);
        result.targets = targets();
        tokens_.expect_token(TokenKind::Name, "in");
        result.expression = tokens_.tuple(false);
        if (tokens_.accept(TokenKind::Name, "if")) result.condition = tokens_.expression();
        if (tokens_.next_is(TokenKind::Name, "recursive")) {
            refuse_template(tokens_.peek(), "a recursive loop is not supported");
        }
        end_tag();
        ++loops_;
        result.body = body({"else", "endfor"});
        --loops_;
        if (tokens_.accept(TokenKind::Name, "else")) {
            end_tag();
            result.otherwise = body({"endfor"});
        }
        tokens_.expect_token(TokenKind::Name, "endfor");
        end_tag();
        return result;
    }

    Statement set_statement(Place place) {
        Statement result = make(StatementKind::Set, place);
        result.targets = targets();
        if (result.targets.size() == 1 && tokens_.accept(TokenKind::Operator, ".")) {
            result.kind = StatementKind::SetMember;
            result.targets.push_back(tokens_.expect_name());
        }
        if (result.targets.size() == 1 && tokens_.peek().kind == TokenKind::BlockEnd) {
            result.kind = StatementKind::SetBlock;
            finish_block(result, "endset");
            return result;
        }
        tokens_.expect_token(TokenKind::Operator, "=");
        result.expression = tokens_.tuple();
        end_tag();
        return result;
    }

    // From a block's first tag's end to its last; loops outside cannot be left from inside.
    void finish_block(Statement& statement, std::string_view end) {
        end_tag();
        const int outside = std::exchange(loops_, 0);
        statement.body = body({end});
        loops_ = outside;
        tokens_.expect_token(TokenKind::Name, end);
        end_tag();
    }

    Statement macro_statement(Place place) {
        Statement result = make(StatementKind::Macro, place);
        result.text = tokens_.expect_name();
        tokens_.expect_token(TokenKind::Operator, "(");
        while (!tokens_.accept(TokenKind::Operator, ")")) {
            if (!result.targets.empty()) tokens_.expect_token(TokenKind::Operator, ",");
            result.targets.push_back(tokens_.expect_name());
            const bool has_default = tokens_.accept(TokenKind::Operator, "=");
            result.defaults.push_back(has_default ? tokens_.expression() : nullptr);
        }
        finish_block(result, "endmacro");
        return result;
    }

    // Marks what a model is trained on, which shows in no text.
    Statement generation_statement(Place place) {
        Statement result = make(StatementKind::Scope, place);
        finish_block(result, "endgeneration");
        return result;
    }

    Statement jump(StatementKind kind, const LexToken& word) {
        if (loops_ == 0) refuse_template(word, fmt::format("\"{}\" outside of a loop", word.text));
        end_tag();
        return make(kind, word.place);
    }

    ExpressionParser tokens_;
    int nesting_ = 0;
    int loops_ = 0;  // that break and continue may leave
};

}  // namespace

Block parse(const std::string& source) { return Parser(source).run(); }

}  // namespace sluice::jinja
