#include "checkpoint/journal.hpp"

#include "checkpoint/layout.hpp"
#include "core/error.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "journal-";
constexpr int kDigits = 16;  // of 64 bits

// "17 ERROR ERROR ERROR VALUES SCALES VALUES SCALES LINE\n": the tensor's index, three doubles' bits, the
// parts' checksums, and the checksum of what stands before it; in hexadecimal but for the first.
std::string line_of(const FinishedTensor& finished) {
    std::string line = fmt::format("{}", finished.tensor);
    const auto add = [&](std::uint64_t bits) { line += " " + checksum_text(bits); };
    for (const double number :
         {finished.error.largest, finished.error.squared_error, finished.error.squared_value})
        add(std::bit_cast<std::uint64_t>(number));
    for (const PartChecksums& part : finished.parts) {
        add(part.values);
        add(part.scales);
    }
    add(checksum_of(line.data(), line.size()));
    return line + "\n";
}

// Takes a number and the space behind it off the front.
std::optional<std::uint64_t> take(std::string_view& line, int base) {
    const std::string_view word = line.substr(0, line.find(' '));
    std::uint64_t number = 0;
    const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), number, base);
    if (problem != std::errc{} || end != word.data() + word.size()) return std::nullopt;
    line.remove_prefix(std::min(line.size(), word.size() + 1));
    return number;
}

// Without its end of line.
std::optional<FinishedTensor> parse(std::string_view line) {
    if (line.size() <= kDigits) return std::nullopt;
    std::string_view content = line.substr(0, line.size() - kDigits - 1);
    if (line.substr(content.size()) != " " + checksum_text(checksum_of(content.data(), content.size())))
        return std::nullopt;
    std::vector<std::uint64_t> numbers;
    const auto tensor = take(content, 10);
    while (!content.empty()) {
        const auto number = take(content, 16);
        if (!number) return std::nullopt;
        numbers.push_back(*number);
    }
    if (!tensor || numbers.size() < 3 || numbers.size() % 2 == 0) return std::nullopt;
    FinishedTensor finished;
    finished.tensor = *tensor;
    finished.error.largest = std::bit_cast<double>(numbers[0]);
    finished.error.squared_error = std::bit_cast<double>(numbers[1]);
    finished.error.squared_value = std::bit_cast<double>(numbers[2]);
    for (std::size_t i = 3; i < numbers.size(); i += 2)
        finished.parts.push_back({numbers[i], numbers[i + 1]});
    return finished;
}

std::string content_of(const OutputFile& file) {
    std::string content(file.size(), '\0');
    file.read(0, std::as_writable_bytes(std::span(content)));
    return content;
}

fs::path journal_of(const fs::path& folder, int rank) {
    return folder / fmt::format("{}{:06}", kPrefix, rank);
}

std::set<fs::path> journals_in(const fs::path& folder, int ranks) try {
    std::set<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.path().filename().string().starts_with(kPrefix)) paths.insert(entry.path());
    for (int rank = 0; rank < ranks; ++rank) paths.insert(journal_of(folder, rank));
    return paths;
} catch (const fs::filesystem_error& error) {
    fail(ExitCode::File, "cannot read {}: {}", folder.string(), error.code().message());
}

}  // namespace

Journal::Journal(const fs::path& folder, int rank)
    : file_(journal_of(folder, rank), OutputFile::Mode::Append) {
    const std::size_t end = content_of(file_).rfind('\n');  // a line that was cut short goes
    file_.resize(end == std::string::npos ? 0 : end + 1);
    sync_path(folder);
}

void Journal::add(const FinishedTensor& finished) {
    const std::string line = line_of(finished);
    const std::lock_guard lock(mutex_);
    file_.append(line);
}

void Journal::sync() { file_.sync(); }

std::vector<FinishedTensor> read_journals(const fs::path& folder, int ranks) {
    std::map<std::size_t, FinishedTensor> found;
    for (const fs::path& path : journals_in(folder, ranks)) {
        const std::string content = content_of(OutputFile(path, OutputFile::Mode::Fill));
        std::string_view rest = content;
        for (std::size_t end = rest.find('\n'); end != rest.npos; end = rest.find('\n')) {
            if (auto finished = parse(rest.substr(0, end))) found[finished->tensor] = std::move(*finished);
            rest.remove_prefix(end + 1);
        }
    }
    std::vector<FinishedTensor> all;
    for (auto& [tensor, finished] : found) all.push_back(std::move(finished));
    return all;
}

}  // namespace sluice
