#include "jobs/process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace sluice::test {
namespace {

using Clock = std::chrono::steady_clock;

// The parent of a process, from "pid (name) state parent ...": the name may hold anything.
pid_t parent_of(const std::filesystem::path& folder) {
    std::ifstream file(folder / "stat");
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return -1;
    std::istringstream rest(text.substr(name_end + 1));
    char state = 0;
    pid_t parent = -1;
    rest >> state >> parent;
    return parent;
}

// `root` and the processes below it.
std::vector<pid_t> process_tree(pid_t root) {
    std::vector<std::pair<pid_t, pid_t>> all;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string name = entry.path().filename().string();
        if (std::ranges::all_of(name, [](unsigned char c) { return std::isdigit(c) != 0; }))
            all.emplace_back(static_cast<pid_t>(std::stol(name)), parent_of(entry.path()));
    }
    std::vector<pid_t> tree{root};
    for (std::size_t i = 0; i < tree.size(); ++i)
        for (const auto& [pid, parent] : all)
            if (parent == tree[i]) tree.push_back(pid);
    return tree;
}

}  // namespace

Process::Process(const std::filesystem::path& folder) {
    static std::atomic<int> number = 0;
    const std::string stem = (folder / ("process-" + std::to_string(number++))).string();
    in_ = stem + ".in";
    out_ = stem + ".out";
    err_ = stem + ".err";
}

Process::Process(std::vector<std::string> words, const std::filesystem::path& folder,
                 const std::string& input)
    : Process(folder) {
    std::ofstream(in_, std::ios::binary) << input;
    start(std::move(words), [this] {
        become(STDIN_FILENO, in_.string(), O_RDONLY);
        become(STDOUT_FILENO, out_.string(), O_WRONLY | O_CREAT | O_TRUNC);
        become(STDERR_FILENO, err_.string(), O_WRONLY | O_CREAT | O_TRUNC);
    });
}

void Process::become(int target, const std::string& path, int flags) {
    const int file = ::open(path.c_str(), flags, 0644);
    if (file < 0 || ::dup2(file, target) < 0) ::_exit(127);
    ::close(file);
}

void Process::start(std::vector<std::string> words, const std::function<void()>& connect) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is ended by its time limit leaves nothing behind
    connect();
    ::execvp(arguments.front(), arguments.data());
    ::_exit(127);
}

Process::~Process() {
    if (pid_ < 0) return;
    if (running()) kill_tree();
    if (!ended_) reap(0);
}

void Process::reap(int options) {
    if (!ended_ && ::waitpid(pid_, &status_, options) == pid_) ended_ = true;
}

bool Process::running() {
    reap(WNOHANG);
    return !ended_;
}

void Process::signal(int number) {
    if (running()) ::kill(pid_, number);
}

std::vector<pid_t> Process::tree() const { return process_tree(pid_); }

void Process::signal_tree(int number) {
    if (!running()) return;
    for (const pid_t pid : tree()) ::kill(pid, number);
}

void Process::kill_tree() {
    if (!running()) return;
    const std::vector<pid_t> all = tree();
    for (const pid_t pid : all) ::kill(pid, SIGKILL);
    reap(0);
    // A rank is not ours to wait for; until it is gone it may still hold the output's lock.
    const Clock::time_point limit = Clock::now() + std::chrono::seconds(10);
    for (const pid_t pid : all)
        while (pid != pid_ && ::kill(pid, 0) == 0 && Clock::now() < limit)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

Ending Process::wait(int seconds) {
    const Clock::time_point limit = Clock::now() + std::chrono::seconds(seconds);
    Ending ending;
    while (running()) {
        if (Clock::now() > limit) {
            ending.timed_out = true;
            kill_tree();
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    ending.code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
    ending.out = text_of(out_);
    ending.err = text_of(err_);
    return ending;
}

std::size_t Process::resident_bytes() const {
    std::ifstream file("/proc/" + std::to_string(pid_) + "/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6)) * 1024;
    return 0;
}

std::string text_of(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return std::move(text).str();
}

int occurrences(const std::string& text, const std::string& word) {
    int count = 0;
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
    return count;
}

}  // namespace sluice::test
