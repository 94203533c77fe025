// Any bytes as a prompt file of every format. Every line is answered by one completion line that a resumed
// run takes for its answer; and lines do not depend on how the bytes arrive.
#include "core/json.hpp"
#include "fuzz.hpp"
#include "memory_file.hpp"
#include "text/completion_file.hpp"
#include "text/line_reader.hpp"
#include "text/prompt_file.hpp"
#include "text/request_json.hpp"
#include "text/sampling_json.hpp"
#include "text/utf8.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>

namespace sluice::fuzz {
namespace {

Completion answer(const ParsedLine& line) {
    if (const auto* failed = std::get_if<FailedRequest>(&line)) {
        promise(failed->error.message.starts_with(failed->where), "a message without its place");
        return error_record(*failed);
    }
    const Request& request = std::get<Request>(line);
    promise(!check(request.sampling).has_value(), "a request with an option out of range");
    if (const auto* prompt = std::get_if<std::string>(&request.input))
        promise(!prompt->empty() && is_valid_utf8(*prompt), "a prompt that is empty or not UTF-8");
    Completion completion;
    completion.id = request.id;
    completion.id_json = request.id_json;
    completion.meta_json = request.meta_json;
    completion.index = request.index;
    completion.n = request.sampling.n;
    return completion;
}

void check_answer(const Completion& completion, const std::string& line) {
    const Json json = Json::parse(line, nullptr, false);
    promise(json.is_object() && line.find('\n') == std::string::npos, "not one line of JSON: {}", line);
    const Json& id = json["id"];
    promise((id.is_string() ? id.get<std::string>() : id.dump()) == completion.id, "{} came back as {}",
            completion.id, id.dump());
    promise(json.contains("meta") == !completion.meta_json.empty(), "meta was lost");
}

void check_prompts(std::string_view input, const PromptOptions& options) {
    const MemoryFile prompts(input);
    std::string answers;
    std::int64_t count = 0;
    const auto lines = open_prompts({prompts.path()}, options);
    while (const auto line = lines->next()) {
        if (const auto* request = std::get_if<Request>(&*line))
            promise(request->index >= 0 && request->index < request->sampling.n, "an index out of range");
        ++count;
        const Completion completion = answer(*line);
        const std::string text = to_json_line(completion);
        check_answer(completion, text);
        answers += text + '\n';
    }
    const MemoryFile output(answers);
    Finished finished = scan_completions(output.path());
    promise(finished.lines() == count, "{} of {} answers were found again", finished.lines(), count);
    const auto rest = skip_finished(open_prompts({prompts.path()}, options), std::move(finished));
    promise(!rest->next().has_value(), "a resumed run would answer a line twice");
}

// A packet is read by itself: so the reader gets the bytes in pieces of these sizes.
class Packets {
public:
    explicit Packets(std::string_view bytes) {
        std::array<int, 2> ends{};
        promise(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0, "no sockets");
        read_end_ = ends[0];
        constexpr std::size_t kMostPackets = 100;  // as many as a socket holds in any case
        const std::size_t least = bytes.size() / kMostPackets + 1;
        while (!bytes.empty()) {
            const std::size_t wanted = least + static_cast<unsigned char>(bytes.front()) % 7;
            const std::string_view packet = bytes.substr(0, wanted);
            promise(::write(ends[1], packet.data(), packet.size()) == std::ssize(packet),
                    "a packet was not sent");
            bytes.remove_prefix(packet.size());
        }
        ::close(ends[1]);
    }
    Packets(const Packets&) = delete;
    Packets& operator=(const Packets&) = delete;
    ~Packets() { ::close(read_end_); }
    int fd() const { return read_end_; }

private:
    int read_end_ = -1;
};

void check_line_reader(std::string_view input, std::size_t max_bytes) {
    const Packets packets(input);
    LineReader reader(packets.fd(), "packets", max_bytes);
    std::size_t at = 0;
    for (std::int64_t number = 1; const auto line = reader.next(); ++number) {
        const std::size_t newline = input.find('\n', at);
        const bool whole = newline != std::string_view::npos;
        std::string_view text = input.substr(at, whole ? newline - at : newline);
        if (text.ends_with('\r')) text.remove_suffix(1);
        promise(
            line->number == number && line->begin == static_cast<std::int64_t>(at) && line->whole == whole,
            "line {} at byte {} is said to be line {} at {}", number, at, line->number, line->begin);
        promise(line->too_long == (text.size() > max_bytes) && line->text == text.substr(0, max_bytes),
                "line {} is not what it was", number);
        at = whole ? newline + 1 : input.size();
    }
    promise(at == input.size(), "the lines end at byte {} of {}", at, input.size());
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    const std::string_view input = fuzz::text_of(data, size);
    for (const PromptOptions& options :
         {PromptOptions{}, PromptOptions{.purpose = Purpose::Score},
          PromptOptions{.format = PromptFormat::Jsonl}, PromptOptions{.format = PromptFormat::OpenAi},
          PromptOptions{.field = "prompt"}})
        fuzz::accepts(ExitCode::File, [&] { fuzz::check_prompts(input, options); });
    fuzz::check_line_reader(input, size % 20);
    return 0;
}
