// What a prompt file asks for, before tokenisation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace sluice {

using Token = std::int32_t;

// The most that a request may ask for: of alternatives to a token, and of completions.
inline constexpr int kMostLogprobs = 20;
inline constexpr int kMostCompletions = 1024;

// How the next token is chosen. Names and defaults are those of the command line.
struct Sampling {
    int max_new_tokens = 256;
    float temperature = 1.0F;  // 0: greedy, ties to the lowest id
    int top_k = 0;             // 0: off
    float top_p = 1.0F;        // 1: off
    float min_p = 0.0F;        // 0: off
    float repetition_penalty = 1.0F;
    std::uint64_t seed = 0;
    std::vector<std::string> stop;
    bool ignore_eos = false;
    int logprobs = 0;  // alternatives to show of each token; 0: off
    int n = 1;         // completions of the request; number k is drawn with the seed `seed + k`
};

// What a prompt file is read for.
enum class Purpose { Generate, Score };

struct Message {
    std::string role;  // "system", "user" or "assistant"
    std::string content;
};

// The web API whose request a line is, and whose response its answer is to be. None: a line of our own.
enum class Api { None, Chat, Completions };

// One line of a prompt file; of a line that asks for n completions, one of them.
struct Request {
    std::string id;  // as given, or FILE:LINE
    // The same with its JSON type ("\"a\"" or "17"): for the completion line, and as its key.
    std::string id_json;
    std::string where;  // FILE:LINE, for messages
    // Prompt, messages or tokens.
    std::variant<std::string, std::vector<Message>, std::vector<Token>> input;
    Sampling sampling;
    std::string meta_json;  // any JSON, carried through; empty: none
    // The text whose tokens are scored, given the input; none: the input itself. For Purpose::Score only.
    std::optional<std::string> completion = std::nullopt;
    int index = 0;             // which of its line's sampling.n completions
    std::int64_t ordinal = 0;  // its place among all that the run answers (skip_finished)
    Api api = Api::None;
    std::string api_model = {};  // what a line of an API calls the model: its answer repeats it
};

// Why a request is answered by an error record. `code` is a word from the list in text/README.md.
struct RequestError {
    std::string code;
    std::string message;
};

// A line that asks for nothing that can be served. It is answered, like a request, by one line, whatever its
// n.
struct FailedRequest {
    std::string id;
    std::string id_json;
    std::string where;
    RequestError error;
    std::string meta_json = {};  // as far as the line could be read
    std::int64_t ordinal = 0;
    Api api = Api::None;
    std::string api_model = {};
};

using ParsedLine = std::variant<Request, FailedRequest>;

}  // namespace sluice
