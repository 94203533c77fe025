#include "jobs/dialog.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <unistd.h>
#include <utmp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>

namespace sluice::test {

Dialog::Dialog(std::vector<std::string> words, const std::filesystem::path& folder, On on)
    : Process(folder), on_(on) {
    std::array<int, 2> ends{-1, -1};  // ours, the program's
    const bool terminal = on == On::Terminal;
    const int made = terminal ? ::openpty(ends.data(), &ends[1], nullptr, nullptr, nullptr)
                              : ::pipe2(ends.data(), O_CLOEXEC);
    if (made != 0) throw std::runtime_error("no pipe or terminal");
    if (!terminal) std::swap(ends[0], ends[1]);
    to_ = ends[0];
    ::fcntl(to_, F_SETFD, FD_CLOEXEC);
    std::signal(SIGPIPE, SIG_IGN);  // a program that ends early is the test's to judge
    start(std::move(words), [&] {
        if (terminal) {
            if (::login_tty(ends[1]) != 0) ::_exit(127);
            return;
        }
        if (::dup2(ends[1], STDIN_FILENO) < 0) ::_exit(127);
        become(STDOUT_FILENO, out_.string(), O_WRONLY | O_CREAT | O_TRUNC);
        become(STDERR_FILENO, err_.string(), O_WRONLY | O_CREAT | O_TRUNC);
    });
    ::close(ends[1]);
}

Dialog::~Dialog() { end_input(); }

void Dialog::send(const std::string& text) {
    for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t count = ::write(to_, text.data() + sent, text.size() - sent);
        if (count <= 0) return;
        sent += static_cast<std::size_t>(count);
    }
}

void Dialog::end_input() {
    if (to_ >= 0) ::close(to_);
    to_ = -1;
}

void Dialog::drain() {
    std::array<char, 4096> bytes{};
    pollfd ready{to_, POLLIN, 0};
    while (on_ == On::Terminal && ::poll(&ready, 1, 0) > 0) {
        const ssize_t count = ::read(to_, bytes.data(), bytes.size());
        if (count <= 0) return;
        shown_.append(bytes.data(), static_cast<std::size_t>(count));
    }
    std::erase(shown_, '\r');
}

std::string Dialog::out() {
    drain();
    return on_ == On::Terminal ? shown_ : text_of(out_);
}

std::string Dialog::err() const { return on_ == On::Terminal ? "" : text_of(err_); }

template <class Text>
bool Dialog::finds(const std::string& text, std::size_t& from, const Text& all) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    for (bool runs = true; runs && std::chrono::steady_clock::now() < limit;) {
        runs = running();  // what it said last may be what is waited for
        const std::size_t at = all().find(text, from);
        if (at != std::string::npos) {
            from = at + text.size();
            return true;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
}

bool Dialog::says(const std::string& text) {
    return finds(text, said_, [this] { return out(); });
}

bool Dialog::notes(const std::string& text) {
    return finds(text, noted_, [this] { return err(); });
}

Ending Dialog::wait(int seconds) {
    if (on_ == On::Pipes) end_input();
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (on_ == On::Terminal && running() && std::chrono::steady_clock::now() < limit) {
        drain();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    Ending ending = Process::wait(on_ == On::Terminal ? 0 : seconds);
    if (on_ == On::Terminal) ending.out = out();
    return ending;
}

}  // namespace sluice::test
