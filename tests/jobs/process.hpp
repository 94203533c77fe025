// Programs run as a user runs them: their own processes, with exit code, output, signals and a time limit.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
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
    virtual ~Process();

    bool running();
    void signal(int number);
    // The program and all processes it started, ranks included.
    std::vector<pid_t> tree() const;
    // To the program and all processes it started, ranks included.
    void signal_tree(int number);
    // SIGKILL to the program and all processes it started, ranks included, as the loss of a machine would.
    void kill_tree();
    // Waits until it ends; after `seconds` kills it.
    virtual Ending wait(int seconds = 60);
    // Bytes of memory that the process has resident; 0 when it is gone.
    std::size_t resident_bytes() const;

protected:
    // Nothing runs yet; output and error of what start() runs are to go to files of `folder`.
    explicit Process(const std::filesystem::path& folder);
    // The child calls `connect` to open its standard streams.
    void start(std::vector<std::string> words, const std::function<void()>& connect);
    // In the child: opens the descriptor `target` anew.
    static void become(int target, const std::string& path, int flags);

    std::filesystem::path in_, out_, err_;

private:
    void reap(int options);

    pid_t pid_ = -1;
    int status_ = 0;
    bool ended_ = false;
};

std::string text_of(const std::filesystem::path& path);

// How often `word` stands in `text`.
int occurrences(const std::string& text, const std::string& word);

}  // namespace sluice::test
