// A parsed template.
#pragma once

#include "text/jinja/value.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sluice::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

enum class ExpressionKind {
    Constant,     // constant
    Variable,     // name
    MakeList,     // operands: the items
    MakeDict,     // operands: key, value, key, value, ...
    Not,          // operands[0]
    Negative,     // operands[0]
    Positive,     // operands[0]
    And,          // operands[0], operands[1]
    Or,           // operands[0], operands[1]
    Arithmetic,   // operands[0] NAME operands[1]; NAME is + - * / // % ~
    Comparison,   // operands[0] names[0] operands[1] names[1] operands[2] ...
    Conditional,  // operands: condition, value if true, value if false
    Attribute,    // operands[0].NAME
    Subscript,    // operands[0][operands[1]]
    Slice,        // operands[0][operands[1]:operands[2]:operands[3]], a part left out is None
    Call,         // operands[0](arguments)
    CallMethod,   // operands[0].NAME(arguments)
    Filter,       // operands[0] | NAME(arguments)
    Test,         // operands[0] is NAME(arguments)
};

struct Arguments {
    std::vector<ExpressionPtr> positional;
    std::vector<std::pair<std::string, ExpressionPtr>> named;
};

struct Place {
    int line;    // from 1
    int column;  // from 1, in bytes
};

struct Expression {
    ExpressionKind kind;
    Place place;
    int depth = 1;  // levels of expressions below and including this one
    std::string name;
    Value constant;
    std::vector<ExpressionPtr> operands;
    std::vector<std::string> names;
    Arguments arguments;
};

using Block = std::vector<Statement>;

enum class StatementKind {
    Text,       // text
    Output,     // {{ expression }}
    If,         // branches in order; a null condition is the else
    For,        // for TARGETS in expression if condition: body, else otherwise
    Set,        // set TARGETS = expression
    SetMember,  // set targets[0].targets[1] = expression, of a namespace
    SetBlock,   // set targets[0] to what the body writes
    Macro,      // macro text(TARGETS): body; defaults[i] is null where targets[i] has none
    Scope,      // body, whose names end with it
    Break,
    Continue,
};

struct Branch {
    ExpressionPtr condition;
    Block body;
};

struct Statement {
    StatementKind kind;
    Place place;
    std::string text;
    ExpressionPtr expression;
    ExpressionPtr condition;
    std::vector<std::string> targets;
    std::vector<ExpressionPtr> defaults;
    std::vector<Branch> branches;
    Block body;
    Block otherwise;
};

}  // namespace sluice::jinja
