// Syncs a file now and then while others write it, so that a loss of power costs the last seconds only.
#pragma once

#include <atomic>
#include <chrono>
#include <stop_token>
#include <thread>

namespace sluice {

class OutputSync {
public:
    // Syncs the data of `fd`, which stays the caller's and open, every `interval` (at most a day) in which
    // wrote() was called, in a thread of its own that begins with the first call.
    OutputSync(int fd, std::chrono::milliseconds interval);
    OutputSync(OutputSync&&) = delete;

    // The file has more in it; for one thread to say. Never waits. 0, or the errno of a sync that failed:
    // what of the file is on the disk is then unknown.
    int wrote() {
        written_ = true;
        if (!thread_.joinable()) start();
        return problem_;
    }
    // No sync begins or runs any more. 0, or the errno of one that failed.
    int stop();

private:
    void start();
    void work(const std::stop_token& stop);

    int fd_;
    std::chrono::milliseconds interval_;
    std::atomic<bool> written_ = false;
    std::atomic<int> problem_ = 0;
    std::jthread thread_;  // last: it uses the others
};

}  // namespace sluice
