#include "jobs/chat.hpp"

#include "comm/rank_state.hpp"
#include "core/error.hpp"
#include "core/signals.hpp"
#include "text/posix_file.hpp"
#include "text/utf8.hpp"

#include <fmt/core.h>

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kMaxMessageBytes = std::size_t{64} << 20;
constexpr std::string_view kBlank = " \t\r\n";

constexpr const char* kHelp =
    R"(A line is a message; a line that ends with \ goes on in the next one.
/stop   ends the answer that is being written; the conversation keeps what is there (as Ctrl-C on a terminal)
/clear  forgets the conversation
/exit   ends, as the end of the input (Ctrl-D) does
/help   shows this
To send a line that begins with /, put a blank before it.)";

constexpr const char* kClearHint = "/clear forgets the conversation";

// Waiting for a person, and for a terminal that shows nothing for a while (Ctrl-S), is no hang.
constexpr auto kOpenEnded = Activity::Kind::OpenEnded;

void write_err(std::string_view text) {
    const Activity activity("writing to the terminal", kOpenEnded);
    fmt::print(stderr, "{}", text);
}

void say(std::string_view text) { write_err(fmt::format("{}\n", text)); }

void write_out(std::string_view text) {
    const Activity activity("writing the answer", kOpenEnded);
    const int problem = write_all(STDOUT_FILENO, text);
    require(problem == 0, ExitCode::File, "cannot write to standard output: {}", std::strerror(problem));
}

bool is_blank(std::string_view text) { return text.find_first_not_of(kBlank) == std::string_view::npos; }

// A command without the blanks after it; empty: the line is none.
std::string_view command_in(std::string_view line) {
    if (!line.starts_with('/')) return {};
    return line.substr(0, line.find_last_not_of(kBlank) + 1);
}

}  // namespace

Chat::Chat(const Sampling& sampling, bool raw)
    : sampling_(sampling),
      raw_(raw),
      marks_(::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1),
      reader_(STDIN_FILENO, "standard input", kMaxMessageBytes) {}

std::optional<ParsedLine> Chat::next() {
    const Activity activity("reading a message", kOpenEnded);
    while (!request_ && !ended_) {
        prompt();
        read_line();
    }
    if (!request_) return std::nullopt;
    answering_ = true;
    asked_ = std::chrono::steady_clock::now();
    return std::exchange(request_, std::nullopt);
}

bool Chat::ready(int milliseconds) {
    const Activity activity("waiting for a message", kOpenEnded);
    if (answering_) {
        watch_for_stop();
        return false;
    }
    while (!request_ && !ended_) {
        prompt();
        const bool has_line = held_ || reader_.ready(milliseconds);
        if (take_interrupt())
            interrupt();
        else if (has_line)
            read_line();
        else
            return false;
    }
    return true;
}

void Chat::prompt() {
    if (!marks_ || prompted_) return;
    write_err(draft_.empty() ? "> " : "... ");
    prompted_ = true;
}

// The terminal has already dropped what was typed of the line.
void Chat::interrupt() {
    prompted_ = false;
    if (!draft_.empty()) {
        draft_.clear();
        say("");
    } else if (warned_) {
        ended_ = true;
        say("");
    } else {
        warned_ = true;
        say("\nTo leave: /exit, Ctrl-D, or Ctrl-C again.");
    }
}

// Takes one line at most: it waits for its turn, unless it is /stop.
void Chat::watch_for_stop() {
    if (take_interrupt()) stopping_ = true;
    if (held_ || !reader_.ready(0)) return;
    held_ = reader_.next();
    if (!held_ || command_in(held_->text) != "/stop") return;
    held_.reset();
    stopping_ = true;
}

void Chat::read_line() {
    const auto line = held_ ? std::exchange(held_, std::nullopt) : reader_.next();
    const bool marked = std::exchange(prompted_, false);
    warned_ = false;
    if (!line) {
        ended_ = true;
        if (marked) say("");
        if (!draft_.empty()) draft_.pop_back();  // the newline before a line that did not come
        return send(std::exchange(draft_, {}));
    }
    std::string_view text = line->text;
    if (line->too_long || draft_.size() + text.size() > kMaxMessageBytes) {
        draft_.clear();
        return say(fmt::format("Not sent: a message can have at most {} MiB.", kMaxMessageBytes >> 20));
    }
    if (draft_.empty() && text.starts_with('/')) return obey(command_in(text));
    const bool goes_on = text.ends_with('\\');
    if (goes_on) text.remove_suffix(1);
    draft_ += text;
    if (goes_on)
        draft_ += '\n';
    else
        send(std::exchange(draft_, {}));
}

void Chat::obey(std::string_view command) {
    if (command == "/exit") {
        ended_ = true;
    } else if (command == "/clear") {
        messages_.clear();
    } else if (command == "/help") {
        say(kHelp);
    } else if (command == "/stop") {
        say("No answer is being written.");
    } else {
        const std::string name = repair_utf8(command.substr(0, std::min<std::size_t>(command.size(), 100)));
        say(fmt::format("Not sent: {} is no command; /help lists them.", clip_utf8(name, 40)));
    }
}

void Chat::send(std::string message) {
    if (is_blank(message)) return;
    if (!is_valid_utf8(message)) return say("Not sent: the message is not valid UTF-8.");
    Request request;
    request.id = fmt::format("turn {}", ++turns_);
    request.id_json = fmt::format("\"{}\"", request.id);
    request.where = request.id;
    request.sampling = sampling_;
    if (raw_) {
        request.input = std::move(message);
    } else {
        messages_.push_back({"user", std::move(message)});
        request.input = messages_;
    }
    request_ = std::move(request);
}

void Chat::show(std::string_view piece) { write_out(piece); }

void Chat::take(const Completion& answer) {
    answering_ = false;
    const bool stopped = std::exchange(stopping_, false);
    const bool nothing = answer.error || (stopped && answer.text.empty());
    if (!answer.error) write_out("\n");
    if (nothing && !raw_) messages_.pop_back();  // a question without an answer is not part of it
    if (!nothing && !raw_) messages_.push_back({"assistant", answer.text});
    if (!stopped) say_why_it_ended(answer);
}

void Chat::say_why_it_ended(const Completion& answer) const {
    const char* hint = raw_ ? "" : kClearHint;
    if (answer.error) {
        const bool long_one = answer.error->code == "too_long" && !messages_.empty();
        return say(fmt::format("Not answered: {}.{}{}", answer.error->message, long_one ? " " : "",
                               long_one ? hint : ""));
    }
    if (answer.finish_reason != FinishReason::Length) return;
    if (answer.completion_tokens >= sampling_.max_new_tokens)
        return say(fmt::format("(cut off after {} tokens: --max-new-tokens)", answer.completion_tokens));
    say(fmt::format("(cut off: {} tokens are all that --max-seq-len or the model allows{}{})",
                    answer.prompt_tokens + answer.completion_tokens, *hint != '\0' ? "; " : "", hint));
}

}  // namespace sluice
