#include "text/durable_file.hpp"

#include "core/error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace sluice {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

// A new name is on the disk only when its folder is. 0 or the errno.
int sync_folder_of(const std::filesystem::path& path) {
    const PosixFile folder =
        open_file(path.has_parent_path() ? path.parent_path() : ".", O_RDONLY | O_DIRECTORY);
    if (!folder.is_open()) return errno;
    // Some network file systems cannot sync a folder, and need not.
    return ::fsync(folder.fd()) == 0 || errno == EINVAL ? 0 : errno;
}

}  // namespace

std::filesystem::path temporary_path(const std::filesystem::path& path) { return path.string() + ".tmp"; }

Replacement::Replacement(const std::filesystem::path& path, Durable durable)
    : path_(path),
      temporary_(temporary_path(path)),
      durable_(durable),
      file_(open_file(temporary_, O_WRONLY | O_CREAT | O_TRUNC)) {
    if (!file_.is_open()) fail_writing(errno);
}

Replacement::~Replacement() {
    if (!installed_) ::unlink(temporary_.c_str());
}

void Replacement::write(std::string_view piece) {
    buffer_ += piece;
    if (buffer_.size() >= kBufferBytes) flush();
}

void Replacement::close() {
    flush();
    if (durable_ == Durable::Yes && ::fsync(file_.fd()) != 0) fail_writing(errno);
    if (const int problem = file_.close()) fail_writing(problem);
}

void Replacement::install() {
    expect(!file_.is_open(), "Replacement::install before close");
    if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail_writing(errno);
    installed_ = true;
    if (durable_ == Durable::No) return;
    if (const int problem = sync_folder_of(path_)) fail_writing(problem);
}

void Replacement::flush() {
    if (const int problem = write_all(file_.fd(), buffer_)) fail_writing(problem);
    buffer_.clear();
}

void Replacement::fail_writing(int problem) const {
    fail(ExitCode::File, "cannot write {}: {}", path_.string(), std::strerror(problem));
}

void replace_file(const std::filesystem::path& path, const std::function<void(const WritePiece&)>& write,
                  Durable durable) {
    Replacement file(path, durable);
    write([&](std::string_view piece) { file.write(piece); });
    file.close();
    file.install();
}

void remove_file(const std::filesystem::path& path) {
    require(::unlink(path.c_str()) == 0 || errno == ENOENT, ExitCode::File, "cannot remove {}: {}",
            path.string(), std::strerror(errno));
}

}  // namespace sluice
