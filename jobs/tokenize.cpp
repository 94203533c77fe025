// sluice-tokenize: see --help.
#include "core/program.hpp"
#include "jobs/tokenize_job.hpp"

#include <CLI/CLI.hpp>

#include <map>

namespace sluice {
namespace {

void add_files(CLI::App& app, TokenizeOptions& o) {
    const std::string group = "Files";
    app.add_option("--model", o.model, "Sluice checkpoint, or a folder with tokenizer files")
        ->required()
        ->type_name("DIR")
        ->group(group);
    auto* texts =
        app.add_option("TEXT", o.arguments,
                       "Texts to encode, instead of an input file; with --decode, the token ids of one text")
            ->type_name("")
            ->group(group);
    app.add_option("--input", o.input,
                   "Texts, a line each, or jsonl as for sluice-generate; '-' is standard input")
        ->type_name("FILE")
        ->default_str("-")
        ->excludes(texts)
        ->group(group);
    app.add_option("--output", o.output, "jsonl, {\"id\",\"tokens\"} a line; '-' is standard output")
        ->type_name("FILE")
        ->default_str("-")
        ->group(group);
    app.add_flag("--overwrite", o.overwrite, "Replace an existing output")->group(group);
    const std::map<std::string, PromptFormat> formats{
        {"auto", PromptFormat::Auto}, {"txt", PromptFormat::Txt}, {"jsonl", PromptFormat::Jsonl}};
    app.add_option("--prompt-format", o.prompt_format,
                   "auto (by file name, then by content), txt (a text a line) or jsonl (an object a line)")
        ->transform(CLI::CheckedTransformer(formats).description(""))
        ->type_name("auto|txt|jsonl")
        ->default_str("auto")
        ->group(group);
}

void add_encoding(CLI::App& app, TokenizeOptions& o) {
    const std::string group = "Encoding (the ids are those that sluice-generate would run)";
    app.add_flag("--no-bos", o.no_bos,
                 "Leave out the token that begins a text; by default it is added where the model's tokenizer "
                 "says so, and never twice")
        ->group(group);
    app.add_flag("--chat", o.chat, "Texts become a user's message in the chat format")->group(group);
    add_chat_format(app, o.chat_format, group);
    app.add_option("--system", o.system, "System message of conversations that have none")
        ->type_name("TEXT")
        ->group(group);
}

void add_decoding(CLI::App& app, TokenizeOptions& o) {
    const std::string group = "Decoding";
    auto* decode = app.add_flag("--decode", o.decode,
                                "The other way: {\"id\",\"tokens\"} lines in, {\"id\",\"text\"} lines out");
    decode->group(group);
    for (const char* other : {"--no-bos", "--chat", "--chat-format", "--system", "--prompt-format"}) {
        decode->excludes(app.get_option(other));
    }
    app.add_flag("--skip-special", o.skip_special, "Leave special tokens out of the text, as completions do")
        ->needs(decode)
        ->group(group);
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app("Shows the token ids of texts, or the text of token ids.", "sluice-tokenize");
    TokenizeOptions options;
    add_files(app, options);
    add_encoding(app, options);
    add_decoding(app, options);
    return run_program(argc, argv, app, [&] { return tokenize(options); });
}
