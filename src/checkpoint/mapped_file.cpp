#include "checkpoint/mapped_file.hpp"

#include "core/error.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice {

MappedFile::MappedFile(std::filesystem::path path) : path_(std::move(path)) {
    const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    require(fd >= 0, ExitCode::Checkpoint, "cannot open {}: {}", path_.string(), std::strerror(errno));
    struct stat status {};
    const bool known = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    size_ = known ? static_cast<std::size_t>(status.st_size) : 0;
    void* mapped = size_ > 0 ? ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd, 0) : nullptr;
    const int problem = errno;
    ::close(fd);  // the mapping stays
    require(known, ExitCode::Checkpoint, "cannot read {}: not a regular file", path_.string());
    require(mapped != MAP_FAILED, ExitCode::Checkpoint, "cannot map {}: {}", path_.string(),
            std::strerror(problem));
    data_ = static_cast<const std::byte*>(mapped);
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace sluice
