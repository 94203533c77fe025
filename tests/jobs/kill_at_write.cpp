// Preloaded into a program under test: kills it, as SIGKILL or a loss of power would, at one chosen moment of
// what it does to the files of one folder. A moment lies before each call, and in the middle of each write.
//
// SLUICE_KILL_FOLDER  the folder
// SLUICE_KILL_AT      the moment, from 1; 0: never
// SLUICE_STOP_AT      the moment at which it gets SIGUSR1, which asks it to stop; 0: never
// SLUICE_KILL_LOG     gets a line for each moment that passes
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

namespace {

std::atomic<long> passed{0};

template <class Function>
Function next(const char* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

const auto real_write = next<ssize_t (*)(int, const void*, size_t)>("write");

std::string setting(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : value;
}

bool is_ours(const std::string& path) {
    const std::string folder = setting("SLUICE_KILL_FOLDER");
    return !folder.empty() && path.compare(0, folder.size(), folder) == 0;
}

std::string path_of(int fd) {
    char path[4096];
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t length = ::readlink(link.c_str(), path, sizeof path);
    return length <= 0 ? std::string() : std::string(path, static_cast<size_t>(length));
}

long number_in(const char* name) { return std::atol(setting(name).c_str()); }

void moment(const char* what, const std::string& path) {
    if (!is_ours(path)) return;
    const long number = ++passed;
    const std::string name = path.substr(path.rfind('/') + 1);
    const std::string line = std::to_string(number) + " " + what + " " + name + "\n";
    const int log = ::open(setting("SLUICE_KILL_LOG").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (log >= 0) {
        (void)!real_write(log, line.data(), line.size());
        ::close(log);
    }
    if (number == number_in("SLUICE_STOP_AT")) ::kill(::getpid(), SIGUSR1);
    if (number == number_in("SLUICE_KILL_AT")) ::kill(::getpid(), SIGKILL);
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* bytes, size_t count) {
    const std::string path = path_of(fd);
    moment("before writing", path);
    if (is_ours(path) && count > 1 && passed + 1 == number_in("SLUICE_KILL_AT"))
        (void)!real_write(fd, bytes, count / 2);
    moment("while writing", path);
    return real_write(fd, bytes, count);
}

ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
    const auto real_pwrite = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
    const std::string path = path_of(fd);
    moment("before writing", path);
    if (is_ours(path) && count > 1 && passed + 1 == number_in("SLUICE_KILL_AT"))
        (void)!real_pwrite(fd, bytes, count / 2, offset);
    moment("while writing", path);
    return real_pwrite(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t offset) {
    return pwrite(fd, bytes, count, offset);
}

int fsync(int fd) {
    moment("before syncing", path_of(fd));
    return next<int (*)(int)>("fsync")(fd);
}

int fdatasync(int fd) {
    moment("before syncing", path_of(fd));
    return next<int (*)(int)>("fdatasync")(fd);
}

int ftruncate(int fd, off_t size) noexcept {
    moment("before cutting", path_of(fd));
    return next<int (*)(int, off_t)>("ftruncate")(fd, size);
}

int truncate(const char* path, off_t size) noexcept {
    moment("before cutting", path);
    return next<int (*)(const char*, off_t)>("truncate")(path, size);
}

int rename(const char* from, const char* to) noexcept {
    moment("before renaming to", to);
    return next<int (*)(const char*, const char*)>("rename")(from, to);
}

int unlink(const char* path) noexcept {
    moment("before removing", path);
    return next<int (*)(const char*)>("unlink")(path);
}

}  // extern "C"
