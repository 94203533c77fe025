#include "text/output_sync.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <mutex>

namespace sluice {

// Bounded, for centuries are more than the clock can count.
OutputSync::OutputSync(int fd, std::chrono::milliseconds interval)
    : fd_(fd), interval_(std::min<std::chrono::milliseconds>(interval, std::chrono::hours(24))) {}

void OutputSync::start() {
    // Signals are for the threads that wait for them.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

int OutputSync::stop() {
    if (thread_.joinable()) {
        thread_.request_stop();
        thread_.join();
    }
    return problem_;
}

void OutputSync::work(const std::stop_token& stop) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any nobody;
    for (;;) {
        nobody.wait_for(lock, stop, interval_, [] { return false; });
        if (stop.stop_requested()) return;  // whoever closes the file syncs it
        if (written_.exchange(false) && ::fdatasync(fd_) != 0) problem_ = errno;
    }
}

}  // namespace sluice
