#include "core/json.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace sluice {
namespace {

constexpr int kMaxDepth = 200;  // the parser recurses: a bound keeps hostile text off the stack

int depth_of(std::string_view text) {
    int depth = 0;
    int deepest = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            deepest = std::max(deepest, ++depth);
        } else if (c == ']' || c == '}') {
            --depth;
        }
    }
    return deepest;
}

}  // namespace

std::string read_file(const std::filesystem::path& path, ExitCode code) {
    errno = 0;
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream content;
    int problem = stream.good() ? 0 : errno;
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) problem = EISDIR;
    require(problem == 0, code, "cannot read {}: {}", path.string(), std::strerror(problem));
    content << stream.rdbuf();
    require(!stream.bad(), code, "cannot read {}: {}", path.string(), std::strerror(errno));
    return std::move(content).str();
}

Json parse_json(std::string_view text, const std::string& where, ExitCode code) {
    require(depth_of(text) <= kMaxDepth, code, "{}: JSON nested deeper than {}", where, kMaxDepth);
    try {
        return Json::parse(text);
    } catch (const Json::exception& problem) {
        fail(code, "{}: not valid JSON: {}", where, problem.what());
    }
}

}  // namespace sluice
