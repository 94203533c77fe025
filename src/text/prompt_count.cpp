#include "text/prompt_count.hpp"

#include "core/error.hpp"
#include "text/unpacker.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

namespace sluice {
namespace {

bool is_plain_file(const std::filesystem::path& path) {
    if (path == "-" || !std::filesystem::is_regular_file(path)) return false;
    std::array<char, 4> head{};
    std::ifstream file(path, std::ios::binary);
    file.read(head.data(), head.size());
    const auto size = static_cast<std::size_t>(file.gcount());
    return recognise_packing({head.data(), size}).value_or(Packing::None) == Packing::None;
}

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

std::optional<std::int64_t> count_requests(const std::vector<std::filesystem::path>& paths,
                                           Partition partition) {
    const bool countable = std::all_of(paths.begin(), paths.end(), is_plain_file);
    if (!countable) return std::nullopt;
    std::int64_t total = 0;
    for (const std::filesystem::path& path : paths) total += count_lines(path);
    return partition.share_of(total);
}

}  // namespace sluice
