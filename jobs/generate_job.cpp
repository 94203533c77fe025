#include "jobs/generate_job.hpp"

#include "jobs/file_job.hpp"
#include "text/chat_formats.hpp"

namespace sluice {
namespace {

// The token that ends a turn in the chosen format, where the tokenizer knows it.
std::vector<Token> end_of_turn(const std::string& chat_format, const Tokenizer& tokenizer) {
    const ChatFormat* format = find_chat_format(chat_format);
    if (format == nullptr || format->end_of_turn.empty()) return {};
    const auto token = tokenizer.id_of(format->end_of_turn);
    return token ? std::vector<Token>{*token} : std::vector<Token>{};
}

}  // namespace

GeneratorOptions generator_options(const GenerateOptions& options, const Tokenizer& tokenizer, int longest) {
    return {options.return_tokens, longest, options.output_format,
            end_of_turn(options.chat_format, tokenizer)};
}

ExitCode generate(Communicator& world, const GenerateOptions& options) {
    FileJob job;
    job.name = "generating";
    job.defaults = options.sampling;
    job.output_format = options.output_format;
    job.check = [&] { check_generate_options(options); };
    job.add_to_record = [&](RunRecord& record) {
        add_sampling(record, options.sampling);
        record.add_text("output_format", name_of(options.output_format));
        record.add_json("return_tokens", options.return_tokens ? "true" : "false");
    };
    job.make_loop = [&](const FileLoop& loop) {
        GeneratorOptions own = generator_options(options, loop.parts.tokenizer, loop.longest);
        own.earlier = [&earlier = loop.earlier](const Request&, std::uint64_t fingerprint) {
            const PartialAnswer* found = earlier.find(fingerprint);
            return found == nullptr ? std::nullopt : std::optional(*found);
        };
        return std::make_unique<Generator>(loop.parts, std::move(own),
                                           [put = loop.put_completion](const Answer& answer) {
                                               put(answer.completion, partial_of(answer));
                                           });
    };
    return run_file_job(world, options, job);
}

}  // namespace sluice
