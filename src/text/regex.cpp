#include "text/regex.hpp"

#include "core/error.hpp"
#include "text/utf8_decode.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <limits>

namespace sluice {
namespace {

// Back-tracking may take this many steps, plus some for each byte: a long run of blanks needs one step a
// byte.
constexpr std::size_t kMatchSteps = 10'000'000;
constexpr std::size_t kMatchStepsPerByte = 16;
constexpr std::size_t kJitStackStart = std::size_t{32} << 10;
constexpr std::size_t kJitStackMax = std::size_t{64} << 20;

struct FreePcre {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
    void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
    void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
};
template <class T>
using PcrePtr = std::unique_ptr<T, FreePcre>;

// What matching writes to. One for each thread, since making a stack for every piece of text is slow.
struct Scratch {
    PcrePtr<pcre2_match_data> data{pcre2_match_data_create(1, nullptr)};
    PcrePtr<pcre2_match_context> context{pcre2_match_context_create(nullptr)};
    PcrePtr<pcre2_jit_stack> stack{pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr)};

    Scratch() { pcre2_jit_stack_assign(context.get(), nullptr, stack.get()); }
};

std::string pcre_message(int code) {
    PCRE2_UCHAR text[256] = {};
    pcre2_get_error_message(code, text, sizeof text);
    return reinterpret_cast<const char*>(text);
}

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

}  // namespace

struct Regex::Program {
    PcrePtr<pcre2_code> code;
    std::string shown;
};

Regex::Regex(const std::string& pcre_pattern, unsigned options, const std::string& shown,
             const std::string& where) {
    const PcrePtr<pcre2_compile_context> context(pcre2_compile_context_create(nullptr));
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    int error = 0;
    PCRE2_SIZE offset = 0;
    PcrePtr<pcre2_code> code(pcre2_compile(units(pcre_pattern), pcre_pattern.size(), PCRE2_UTF | options,
                                           &error, &offset, context.get()));
    require(code != nullptr, ExitCode::Checkpoint, "{}: the regular expression \"{}\" is not supported: {}",
            where, shown, pcre_message(error));
    pcre2_jit_compile(code.get(),
                      PCRE2_JIT_COMPLETE);  // where there is no JIT the interpreter runs, only slower
    program_ = std::make_shared<Program>(Program{std::move(code), shown});
}

Regex Regex::from_oniguruma(std::string_view pattern, const std::string& where) {
    // In Ruby's syntax ^ and $ stand at every line.
    return Regex(pcre_from_oniguruma(pattern, where), PCRE2_UCP | PCRE2_MULTILINE, std::string(pattern),
                 where);
}

Regex Regex::literal(std::string_view text) {
    return Regex(std::string(text), PCRE2_LITERAL, std::string(text), "literal");
}

void Regex::find_all(std::string_view text, std::vector<TextRange>& matches) const {
    thread_local const Scratch scratch;
    const std::size_t limit = kMatchSteps + kMatchStepsPerByte * text.size();
    pcre2_set_match_limit(scratch.context.get(), static_cast<std::uint32_t>(std::min<std::size_t>(
                                                     limit, std::numeric_limits<std::uint32_t>::max())));
    const PCRE2_SIZE* found = pcre2_get_ovector_pointer(scratch.data.get());
    std::size_t from = 0;
    std::size_t last_end = std::string_view::npos;
    while (from <= text.size()) {
        const int result = pcre2_match(program_->code.get(), units(text), text.size(), from,
                                       PCRE2_NO_UTF_CHECK, scratch.data.get(), scratch.context.get());
        if (result == PCRE2_ERROR_NOMATCH) return;
        require(result >= 0, ExitCode::File,
                "a text of {} bytes defeats the tokenizer's regular expression \"{}\": {}", text.size(),
                program_->shown, pcre_message(result));
        if (found[0] == found[1] && found[1] == last_end) {
            from += from < text.size() ? utf8_step(text.substr(from)).length : 1;
            continue;
        }
        from = last_end = found[1];
        matches.push_back({found[0], found[1]});
    }
}

}  // namespace sluice
