// A program that is talked to while it runs.
#pragma once

#include "jobs/process.hpp"

#include <string>

namespace sluice::test {

class Dialog final : public Process {
public:
    enum class On {
        Pipes,    // standard input is a pipe, the rest goes to files
        Terminal  // all three are a terminal of the program's own, which it hears signals from
    };

    Dialog(std::vector<std::string> words, const std::filesystem::path& folder, On on);
    ~Dialog() override;

    void send(const std::string& text);
    void end_input();  // of a pipe

    // What came so far: on standard output, or on the terminal, without its carriage returns.
    std::string out();
    // And on standard error; nothing of a terminal's.
    std::string err() const;

    // Waits until `text` has come after what an earlier call waited for; false: it does not, within a minute
    // or before the program ends.
    bool says(const std::string& text);   // in out()
    bool notes(const std::string& text);  // in err()

    // Closes the input of a pipe first.
    Ending wait(int seconds = 60) override;

private:
    void drain();
    template <class Text>
    bool finds(const std::string& text, std::size_t& from, const Text& all);

    On on_;
    int to_ = -1;  // the pipe's end, or the terminal's other side
    std::string shown_;
    std::size_t said_ = 0, noted_ = 0;
};

}  // namespace sluice::test
