// A conversation on standard input and output: lines in, answers out as they are written.
#pragma once

#include "text/completion_file.hpp"
#include "text/line_reader.hpp"
#include "text/prompt_file.hpp"
#include "text/request.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Every message is a request for the answer to the whole conversation before it; commands are obeyed here.
// Standard output gets the answers, a newline after each; standard error whatever else is to be said, and on
// a terminal a mark where a message is expected. SIGINT is to be caught by keep_interrupts().
class Chat final : public PromptSource {
public:
    // `raw`: no conversation, every message is a plain prompt.
    Chat(const Sampling& sampling, bool raw);

    // Request by request: while one is being answered, nothing else is ready.
    std::optional<ParsedLine> next() override;
    bool ready(int milliseconds) override;

    // The answer that is being written is to end here: by SIGINT, or by /stop.
    bool wants_stop() const { return stopping_; }
    // When next() gave the request that is being answered, or was answered last.
    std::chrono::steady_clock::time_point asked() const { return asked_; }

    // A piece of the answer. Errors: ExitCode::File when standard output takes no more.
    void show(std::string_view piece);
    // The whole of it, or why there is none. Errors: as show.
    void take(const Completion& answer);

private:
    void prompt();
    void interrupt();
    void watch_for_stop();
    void read_line();
    void obey(std::string_view command);
    void send(std::string message);
    void say_why_it_ended(const Completion& answer) const;

    Sampling sampling_;
    bool raw_;
    bool marks_;  // where messages are expected
    LineReader reader_;
    std::optional<LineReader::Line> held_;  // came during an answer; valid while the reader rests
    std::string draft_;                     // lines of a message that goes on
    std::vector<Message> messages_;
    std::optional<Request> request_;
    std::int64_t turns_ = 0;
    std::chrono::steady_clock::time_point asked_;
    bool prompted_ = false;  // the mark stands there
    bool warned_ = false;    // the next interrupt ends
    bool answering_ = false, stopping_ = false, ended_ = false;
};

}  // namespace sluice
