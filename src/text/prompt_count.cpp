#include "text/prompt_count.hpp"

#include "core/error.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

namespace sluice {
namespace {

std::int64_t count_lines(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::vector<char> buffer(1U << 20);
    std::int64_t lines = 0;
    bool blank = true;
    while (file) {
        file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
        const std::streamsize count = file.gcount();
        for (std::streamsize i = 0; i < count; ++i) {
            const char c = buffer[static_cast<std::size_t>(i)];
            if (c == '\n') {
                lines += blank ? 0 : 1;
                blank = true;
            } else if (c != ' ' && c != '\t' && c != '\r') {
                blank = false;
            }
        }
    }
    require(file.eof(), ExitCode::File, "cannot read {}: {}", path.string(), std::strerror(errno));
    return lines + (blank ? 0 : 1);
}

}  // namespace

std::optional<std::int64_t> count_requests(const std::vector<std::filesystem::path>& paths) {
    std::int64_t total = 0;
    for (const std::filesystem::path& path : paths) {
        if (path == "-" || !std::filesystem::is_regular_file(path)) return std::nullopt;
        total += count_lines(path);
    }
    return total;
}

}  // namespace sluice
