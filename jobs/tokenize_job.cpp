#include "jobs/tokenize_job.hpp"

#include "checkpoint/sluice_checkpoint.hpp"
#include "core/log.hpp"
#include "engine/request_encoder.hpp"
#include "text/chat_formats.hpp"
#include "text/posix_file.hpp"
#include "text/request_json.hpp"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>

namespace sluice {
namespace {

struct TextModel {
    std::unique_ptr<Tokenizer> tokenizer;
    std::optional<ChatTemplate> chat;
    int vocabulary = 0;
};

// A template that is not supported matters only to conversations.
std::optional<ChatTemplate> chat_of(const TokenizerFiles& files, const TokenizeOptions& options) {
    if (options.decode) return std::nullopt;
    const ChatFormat* format = find_chat_format(options.chat_format);
    if (options.chat) return open_chat(files, format);
    try {
        return open_chat(files, format);
    } catch (const Error& error) {
        log_warning("conversations cannot be encoded: {}", error.what());
        return std::nullopt;
    }
}

TextModel open_text_model(const TokenizeOptions& options) {
    const std::filesystem::path& folder = options.model;
    require(std::filesystem::is_directory(folder), ExitCode::Checkpoint,
            "--model {}: there is no such folder", folder.string());
    TextModel model;
    TokenizerFiles files;
    if (is_sluice_checkpoint(folder)) {
        const auto checkpoint = open_sluice_checkpoint(folder);
        files.files = checkpoint->text_files();
        model.vocabulary = checkpoint->config().vocab;
    } else {
        files = read_tokenizer_files(folder);
    }
    model.tokenizer = make_tokenizer(files);
    model.chat = chat_of(files, options);
    model.vocabulary = std::max(model.vocabulary, static_cast<int>(model.tokenizer->vocab_size()));
    return model;
}

// The requests of the command line.
class ArgumentSource final : public PromptSource {
public:
    explicit ArgumentSource(std::vector<Request> requests) : requests_(std::move(requests)) {}
    std::optional<ParsedLine> next() override {
        if (next_ == requests_.size()) return std::nullopt;
        return requests_[next_++];
    }
    bool ready(int) override { return true; }

private:
    std::vector<Request> requests_;
    std::size_t next_ = 0;
};

std::vector<Token> parse_ids(const std::vector<std::string>& arguments) {
    std::vector<Token> ids;
    for (const std::string& argument : arguments) {
        std::string_view rest = argument;
        while (!rest.empty()) {
            Token id = -1;
            const auto end = std::from_chars(rest.data(), rest.data() + rest.size(), id);
            const auto length = static_cast<std::size_t>(end.ptr - rest.data());
            const bool ends = length == rest.size() || rest[length] == ',' || rest[length] == ' ';
            require(end.ec == std::errc() && id >= 0 && ends, ExitCode::Usage,
                    "\"{}\" is no list of token ids: whole numbers, with blanks or commas between", argument);
            ids.push_back(id);
            rest.remove_prefix(length);
            rest.remove_prefix(std::min(rest.find_first_not_of(", "), rest.size()));
        }
    }
    return ids;
}

Request request_of(std::size_t number) {
    Request request;
    request.id = request.where = fmt::format("TEXT:{}", number);
    request.id_json = to_json_string(request.id);
    return request;
}

std::unique_ptr<PromptSource> open_source(const TokenizeOptions& options) {
    if (options.arguments.empty()) {
        PromptOptions prompts;
        prompts.format = options.decode ? PromptFormat::Jsonl : options.prompt_format;
        return open_prompts(expand_prompt_paths({options.input}), prompts);
    }
    std::vector<Request> requests;
    if (options.decode) {
        requests.push_back(request_of(1));
        requests.back().input = parse_ids(options.arguments);
    } else {
        for (const std::string& text : options.arguments) {
            requests.push_back(request_of(requests.size() + 1));
            requests.back().input = text;
        }
    }
    return std::make_unique<ArgumentSource>(std::move(requests));
}

// Lines to a file, or to standard output.
class LineFile {
public:
    LineFile(const std::filesystem::path& path, bool overwrite) : path_(path) {
        if (path == "-") return;
        const bool writes_over = overwrite || std::filesystem::is_other(path);
        file_ = open_file(path, O_WRONLY | O_CREAT | (writes_over ? O_TRUNC : O_EXCL));
        require(file_.is_open() || errno != EEXIST, ExitCode::Usage,
                "the output {} exists: give --overwrite to replace it", path.string());
        require(file_.is_open(), ExitCode::File, "cannot write {}: {}", path.string(), std::strerror(errno));
    }

    void write(std::string_view line) {
        if (!file_.is_open()) return fmt::print("{}\n", line);
        buffer_.append(line).append("\n");
        if (buffer_.size() >= kBufferBytes) flush();
    }

    void close() {
        flush();
        check(file_.close());
    }

private:
    static constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

    void flush() {
        if (file_.is_open()) check(write_all(file_.fd(), buffer_));
        buffer_.clear();
    }

    void check(int problem) const {
        require(problem == 0, ExitCode::File, "cannot write {}: {}", path_.string(), std::strerror(problem));
    }

    std::filesystem::path path_;
    PosixFile file_;
    std::string buffer_;
};

// `result` is a member of the line, such as "tokens":[1,2].
std::string line_of(const std::string& id_json, const std::string& result, const std::string& meta_json) {
    return fmt::format("{{\"id\":{},{}{}}}", id_json, result,
                       meta_json.empty() ? "" : ",\"meta\":" + meta_json);
}

std::string error_member(const RequestError& error) { return "\"error\":" + to_json(error); }

using Result = std::variant<std::string, RequestError>;  // the member of the line

Result encode(const RequestEncoder& encoder, const Request& request) {
    const auto encoded = encoder.encode(request);
    if (const auto* error = std::get_if<RequestError>(&encoded)) return *error;
    return fmt::format("\"tokens\":[{}]", fmt::join(std::get<std::vector<Token>>(encoded), ","));
}

Result decode_request(const RequestEncoder& encoder, const Tokenizer& tokenizer, const Request& request,
                      bool skip_special) {
    if (!std::holds_alternative<std::vector<Token>>(request.input))
        return error_at(request.where, "no_tokens", "there are no tokens to decode");
    const auto tokens = encoder.encode(request);  // as they are, but checked
    if (const auto* error = std::get_if<RequestError>(&tokens)) return *error;
    return "\"text\":" +
           to_json_string(decode(tokenizer, std::get<std::vector<Token>>(tokens), skip_special));
}

}  // namespace

ExitCode tokenize(const TokenizeOptions& options) {
    const TextModel model = open_text_model(options);
    const RequestEncoder encoder(
        *model.tokenizer, model.chat,
        {options.chat, options.system, model.vocabulary, std::numeric_limits<int>::max(), !options.no_bos});
    const auto source = open_source(options);
    std::error_code none;
    require(!options.arguments.empty() || !std::filesystem::equivalent(options.input, options.output, none),
            ExitCode::Usage, "--output {}: is the input, too", options.output.string());
    LineFile output(options.output, options.overwrite);
    bool errors = false;
    while (const auto line = source->next()) {
        if (const auto* failed = std::get_if<FailedRequest>(&*line)) {
            errors = true;
            output.write(line_of(failed->id_json, error_member(failed->error), failed->meta_json));
            continue;
        }
        const auto& request = std::get<Request>(*line);
        const Result result = options.decode
                                  ? decode_request(encoder, *model.tokenizer, request, options.skip_special)
                                  : encode(encoder, request);
        const auto* error = std::get_if<RequestError>(&result);
        errors = errors || error != nullptr;
        output.write(line_of(request.id_json, error ? error_member(*error) : std::get<std::string>(result),
                             request.meta_json));
    }
    output.close();
    return errors ? ExitCode::SomeErrors : ExitCode::Complete;
}

}  // namespace sluice
