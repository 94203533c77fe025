// Cuts a template into text, tags and the tokens inside tags.
#pragma once

#include "text/jinja/ast.hpp"

#include <string>
#include <vector>

namespace sluice::jinja {

enum class TokenKind {
    Text,         // outside tags, with Jinja's trim_blocks and lstrip_blocks applied
    OutputBegin,  // {{
    OutputEnd,    // }}
    BlockBegin,   // {%
    BlockEnd,     // %}
    Name,
    String,  // `text` holds the value
    Integer,
    Float,
    Operator,
    End,
};

struct LexToken {
    TokenKind kind;
    std::string text;
    Place place;
};

// Errors: ExitCode::Checkpoint, naming the place.
std::vector<LexToken> lex(const std::string& source);

// Stops with "chat template, line L, column C: MESSAGE" and ExitCode::Checkpoint.
[[noreturn]] void refuse_template(const LexToken& at, const std::string& message);

}  // namespace sluice::jinja
