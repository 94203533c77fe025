// Files that appear whole or not at all.
#pragma once

#include "text/posix_file.hpp"

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace sluice {

// Where the new file is written until it takes its name.
std::filesystem::path temporary_path(const std::filesystem::path& path);

// Whether a file is on the disk before it takes its name, and its name soon after. A loss of power may
// otherwise leave anything of it.
enum class Durable { Yes, No };

// The new file at a path, written beside what is there until it takes its name. Without install() it goes
// again. Errors of all but the destructor: ExitCode::File; then what was at the path is still there.
class Replacement {
public:
    explicit Replacement(const std::filesystem::path& path, Durable durable = Durable::Yes);
    Replacement(Replacement&&) = delete;
    ~Replacement();

    void write(std::string_view piece);
    void close();    // nothing more comes: from here on no lack of room can stop install()
    void install();  // after close

private:
    void flush();
    [[noreturn]] void fail_writing(int problem) const;

    std::filesystem::path path_, temporary_;
    Durable durable_;
    PosixFile file_;
    std::string buffer_;
    bool installed_ = false;
};

// What is written of a file, piece by piece.
using WritePiece = std::function<void(std::string_view)>;

// Writes `path` anew; `write` gives the content, in pieces as it likes. Errors: those of Replacement and of
// `write`.
void replace_file(const std::filesystem::path& path, const std::function<void(const WritePiece&)>& write,
                  Durable durable = Durable::Yes);

// Errors: ExitCode::File. What does not exist is no error.
void remove_file(const std::filesystem::path& path);

}  // namespace sluice
