// Programs run as a user runs them: their own processes, with exit code, output, signals and a time limit.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace sluice::test {

// How a process ended.
struct Ending {
    int code = -1;           // exit code; 128 + the signal that ended it
    bool timed_out = false;  // it was killed because it did not end by itself
    std::string out, err;
};

// One running program. Its standard output and error go to files of `folder`.
class Process {
public:
    // Starts `words` with `input` as standard input.
    Process(std::vector<std::string> words, const std::filesystem::path& folder,
            const std::string& input = "");
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    ~Process();

    bool running();
    void signal(int number);
    // The program and all processes it started, ranks included.
    std::vector<pid_t> tree() const;
    // To the program and all processes it started, ranks included.
    void signal_tree(int number);
    // SIGKILL to the program and all processes it started, ranks included, as the loss of a machine would.
    void kill_tree();
    // Waits until it ends; after `seconds` kills it.
    Ending wait(int seconds = 60);
    // Bytes of memory that the process has resident; 0 when it is gone.
    std::size_t resident_bytes() const;

private:
    void reap(int options);

    std::filesystem::path out_, err_;
    pid_t pid_ = -1;
    int status_ = 0;
    bool ended_ = false;
};

// How often `word` stands in `text`.
int occurrences(const std::string& text, const std::string& word);

}  // namespace sluice::test
