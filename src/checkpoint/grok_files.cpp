#include "checkpoint/grok_files.hpp"

#include "checkpoint/mapped_file.hpp"
#include "core/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStart = "tensor";
constexpr std::size_t kIndexDigits = 5, kHostDigits = 3;

struct FileNumber {
    std::size_t index = 0;
    int host = 0;
    bool operator<(const FileNumber& other) const {
        return std::pair(index, host) < std::pair(other.index, other.host);
    }
};

std::string file_name(FileNumber number) {
    return fmt::format("{}{:05}_{:03}", kStart, number.index, number.host);
}

// Of digits alone, and exactly so many that they fit an int.
std::optional<int> number_of(std::string_view digits) {
    int number = 0;
    for (const char digit : digits) {
        if (digit < '0' || digit > '9') return std::nullopt;
        number = 10 * number + (digit - '0');
    }
    return number;
}

// Nothing where the name is not tensorNNNNN_HHH.
std::optional<FileNumber> parse_name(std::string_view name) {
    constexpr std::size_t kUnderscore = kStart.size() + kIndexDigits;
    if (name.size() != kUnderscore + 1 + kHostDigits || name[kUnderscore] != '_') return std::nullopt;
    const auto index = number_of(name.substr(kStart.size(), kIndexDigits));
    const auto host = number_of(name.substr(kUnderscore + 1));
    if (!index || !host) return std::nullopt;
    return FileNumber{static_cast<std::size_t>(*index), *host};
}

std::set<FileNumber> find_files(const fs::path& folder) {
    std::set<FileNumber> numbers;
    for (const auto& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(kStart)) continue;
        const auto number = parse_name(name);
        // Some programs put such a name beside a file of full size that is not whole yet.
        require(number.has_value(), ExitCode::Checkpoint,
                "{}: expected names like {}; finish the download if this is part of it, or remove the file",
                entry.path().string(), file_name({}));
        numbers.insert(*number);
    }
    require(!numbers.empty(), ExitCode::Checkpoint, "{}: no files like {} are there", folder.string(),
            file_name({}));
    return numbers;
}

// Not all the missing names: two files can miss a hundred million between them.
void require_all(const std::set<FileNumber>& numbers, std::size_t count, int hosts, const fs::path& folder) {
    const std::size_t total = count * static_cast<std::size_t>(hosts);
    if (numbers.size() == total) return;
    constexpr std::size_t kShown = 5;
    std::vector<std::string> missing;
    for (FileNumber next; next.index < count && missing.size() < kShown; ++next.index)
        for (next.host = 0; next.host < hosts && missing.size() < kShown; ++next.host)
            if (!numbers.contains(next)) missing.push_back(file_name(next));
    const std::size_t others = total - numbers.size() - missing.size();
    fail(ExitCode::Checkpoint, "{}: {} tensors of {} hosts have {} files, but {} are there; missing: {}{}",
         folder.string(), count, hosts, total, numbers.size(), fmt::join(missing, ", "),
         others > 0 ? fmt::format(" and {} more", others) : std::string());
}

}  // namespace

// Mapped only while it is parsed: all files of a release are more than an address space may be allowed.
PickledTensorFile::PickledTensorFile(fs::path path)
    : file_(std::move(path)),
      tensor_(parse_pickled_tensor(MappedFile(file_.path()).bytes(), file_.path().string())) {}

GrokFiles::GrokFiles(const fs::path& folder) {
    require(fs::is_directory(folder), ExitCode::Checkpoint, "{}: no such folder", folder.string());
    const fs::path inner = folder / "ckpt-0";
    const fs::path& place = fs::is_directory(inner) ? inner : folder;
    const std::set<FileNumber> numbers = find_files(place);
    const std::size_t count = numbers.rbegin()->index + 1;
    hosts_ = std::ranges::max(numbers, {}, &FileNumber::host).host + 1;
    require_all(numbers, count, hosts_, place);
    for (const FileNumber number : numbers)
        files_.push_back(std::make_unique<const PickledTensorFile>(place / file_name(number)));
}

const PickledTensorFile& GrokFiles::file(std::size_t index, int host) const {
    expect(index < count() && host >= 0 && host < hosts_, "no tensor file {} of host {}", index, host);
    return *files_[index * static_cast<std::size_t>(hosts_) + static_cast<std::size_t>(host)];
}

}  // namespace sluice
