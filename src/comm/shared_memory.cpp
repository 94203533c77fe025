#include "comm/shared_memory.hpp"

#include "comm/collectives.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>

namespace sluice {
namespace {

constexpr const char* kName = "sluice";

// An open file, closed with the scope.
class File {
public:
    explicit File(int descriptor) : descriptor_(descriptor) {}
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    int descriptor() const { return descriptor_; }

private:
    int descriptor_;
};

// Where the others find rank 0's file, and what shows that it is that one: a process number means something
// else in another container.
struct Place {
    std::int32_t process = 0;
    std::int32_t descriptor = -1;
    std::uint64_t mark = 0;
};

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

// -1, with errno, if it fails. Systems may insist that such files are never programs, which kernels
// before 6.3 cannot be told.
int create(std::size_t bytes) {
    int file = ::memfd_create(kName, MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    if (file < 0 && errno == EINVAL) file = ::memfd_create(kName, MFD_CLOEXEC);
    if (file < 0 || ::ftruncate(file, static_cast<off_t>(bytes)) == 0) return file;
    const int error = errno;
    ::close(file);
    errno = error;
    return -1;
}

// -1, with errno, if it is not there, or is something else: that must not even be opened.
int open_place(const Place& place) {
    const std::string path = fmt::format("/proc/{}/fd/{}", place.process, place.descriptor);
    std::array<char, 64> name{};
    if (::readlink(path.c_str(), name.data(), name.size() - 1) < 0) return -1;
    errno = ENOENT;
    if (!std::string_view(name.data()).starts_with(std::string("/memfd:") + kName)) return -1;
    const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    std::uint64_t mark = 0;
    if (file < 0 || (::pread(file, &mark, sizeof mark, 0) == sizeof mark && mark == place.mark)) return file;
    ::close(file);
    errno = ENOENT;
    return -1;
}

std::uint64_t random_mark() {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device() | 1U;
}

// Null, with errno, if it fails. Claims this rank's part now: later, a lack of memory would be a signal.
std::shared_ptr<std::byte> map(const File& file, std::size_t bytes, std::size_t first, std::size_t count) {
    if (file.descriptor() < 0) return nullptr;
    const int error =
        ::posix_fallocate(file.descriptor(), static_cast<off_t>(first), static_cast<off_t>(count));
    if (error != 0) {
        errno = error;
        return nullptr;
    }
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor(), 0);
    if (memory == MAP_FAILED) return nullptr;
    return {static_cast<std::byte*>(memory), [bytes](std::byte* mapped) { ::munmap(mapped, bytes); }};
}

}  // namespace

std::shared_ptr<std::byte> share_memory(Communicator& ranks, std::size_t bytes_a_rank, std::string& problem) {
    const auto rank = static_cast<std::size_t>(ranks.rank());
    const std::size_t bytes = bytes_a_rank * static_cast<std::size_t>(ranks.size());
    std::array<Place, 1> place{};
    std::shared_ptr<std::byte> memory;
    std::string mine;
    const auto try_to_map = [&](const File& file) {  // errno tells why there is no file
        memory = map(file, bytes, rank * bytes_a_rank, bytes_a_rank);
        if (memory == nullptr)
            mine = fmt::format("rank {} cannot map memory of rank 0: {}", rank, std::strerror(errno));
    };

    if (rank == 0) place[0] = {::getpid(), -1, random_mark()};
    const File own(rank == 0 ? create(bytes) : -1);
    if (rank == 0) {
        place[0].descriptor = own.descriptor();
        try_to_map(own);
        if (memory != nullptr) std::memcpy(memory.get(), &place[0].mark, sizeof place[0].mark);
    }
    ranks.broadcast(std::as_writable_bytes(std::span(place)), 0);
    if (rank != 0 && place[0].descriptor >= 0) try_to_map(File(open_place(place[0])));
    const std::vector<std::string> problems = gather_strings(ranks, mine);
    const auto first = std::ranges::find_if(problems, [](const std::string& each) { return !each.empty(); });
    if (first != problems.end()) {
        problem = *first;
        return nullptr;
    }
    if (rank == 0) std::memset(memory.get(), 0, sizeof place[0].mark);
    ranks.barrier();
    return memory;
}

}  // namespace sluice
