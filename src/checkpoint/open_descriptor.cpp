#include "checkpoint/open_descriptor.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>

namespace sluice {

int open_descriptor(const std::filesystem::path& path, int flags) {
    const auto open = [&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); };
    const int descriptor = open();
    rlimit limit{};
    if (descriptor >= 0 || errno != EMFILE || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return descriptor;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
    return open();
}

}  // namespace sluice
