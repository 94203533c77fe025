#include "checkpoint/hf_files.hpp"

#include "core/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kSingle = "model.safetensors";

std::vector<std::string> names_matching(const fs::path& folder, std::string_view start,
                                        std::string_view end) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) {
        std::string name = entry.path().filename().string();
        if (name.starts_with(start) && name.ends_with(end)) names.push_back(std::move(name));
    }
    std::ranges::sort(names);
    return names;
}

// Tensor -> file name.
std::map<std::string, std::string> read_index(const fs::path& path) {
    const Json json = parse_json(read_file(path, ExitCode::Checkpoint), path.string(), ExitCode::Checkpoint);
    const auto map = json.is_object() ? json.find("weight_map") : json.end();
    require(json.is_object() && map != json.end() && map->is_object(), ExitCode::Checkpoint,
            "{}: expected an object with 'weight_map'", path.string());
    std::map<std::string, std::string> files;
    for (const auto& [tensor, file] : map->items()) {
        // A plain name: an index must not reach out of its folder.
        const bool plain = file.is_string() &&
                           fs::path(file.get<std::string>()).filename() == file.get<std::string>() &&
                           file.get<std::string>() != "..";
        require(plain, ExitCode::Checkpoint,
                "{}: tensor {} is in {}; expected the name of a file beside the index", path.string(), tensor,
                file.dump());
        files.emplace(tensor, file.get<std::string>());
    }
    return files;
}

void check_index(const fs::path& folder, const std::map<std::string, std::string>& index,
                 const std::map<std::string, TensorPlace>& tensors) {
    std::vector<std::string> absent;
    for (const auto& [tensor, file] : index) {
        const auto found = tensors.find(tensor);
        if (found == tensors.end() || found->second.file->path().filename() != file)
            absent.push_back(fmt::format("{} in {}", tensor, file));
    }
    require(absent.empty(), ExitCode::Checkpoint, "{}: {} tensors are not where the index says: {}",
            (folder / kIndex).string(), absent.size(), first_few(absent));
    std::vector<std::string> unlisted;
    for (const auto& [tensor, place] : tensors) {
        if (!index.contains(tensor))
            unlisted.push_back(fmt::format("{} in {}", tensor, place.file->path().filename().string()));
    }
    require(unlisted.empty(), ExitCode::Checkpoint, "{}: {} tensors of its files are not in the index: {}",
            (folder / kIndex).string(), unlisted.size(), first_few(unlisted));
}

}  // namespace

HuggingFaceFiles::HuggingFaceFiles(const fs::path& folder) {
    const bool indexed = fs::exists(folder / kIndex);
    if (!indexed) {
        const auto weights = names_matching(folder, "", ".safetensors");
        require(fs::exists(folder / kSingle), ExitCode::Checkpoint, "{}: neither {} nor {} is there{}",
                folder.string(), kSingle, kIndex,
                weights.empty() ? std::string() : "; found " + first_few(weights));
        open(folder / kSingle);
        return;
    }
    const auto index = read_index(folder / kIndex);
    std::map<std::string, std::string> first_tensor;  // of each file
    for (const auto& [tensor, file] : index) first_tensor.emplace(file, tensor);
    require(!fs::exists(folder / kSingle) || first_tensor.contains(kSingle), ExitCode::Checkpoint,
            "{}: both {} and {} are there, and they differ: remove one", folder.string(), kSingle, kIndex);
    for (const auto& [file, tensor] : first_tensor) {
        require(fs::exists(folder / file), ExitCode::Checkpoint,
                "{} is missing: {} says that it holds {}; download it again", (folder / file).string(),
                kIndex, tensor);
        open(folder / file);
    }
    check_index(folder, index, tensors_);
}

void HuggingFaceFiles::open(const fs::path& path) {
    files_.push_back(std::make_unique<SafetensorsFile>(path));
    const SafetensorsFile& file = *files_.back();
    for (const auto& [name, entry] : file.tensors()) {
        const auto [found, added] = tensors_.emplace(name, TensorPlace{&file, &entry});
        require(added, ExitCode::Checkpoint, "{}: tensor {} is also in {}", path.string(), name,
                found->second.file->path().string());
    }
}

fs::path find_config(const fs::path& folder) {
    require(fs::is_directory(folder), ExitCode::Checkpoint, "{}: no such folder", folder.string());
    if (fs::exists(folder / "config.json")) return folder / "config.json";
    const auto others = names_matching(folder, "config_", ".json");
    require(!others.empty(), ExitCode::Checkpoint, "{}: config.json is missing", folder.string());
    require(
        others.size() == 1, ExitCode::Checkpoint,
        "{}: config.json is missing, and {} files could stand for it: {}; copy the right one to config.json",
        folder.string(), others.size(), first_few(others));
    return folder / others.front();
}

std::map<std::string, std::string> read_text_files(const fs::path& folder) {
    constexpr std::array kNames{"tokenizer.json",          kTokenizerModel,          "tokenizer_config.json",
                                "special_tokens_map.json", "generation_config.json", "added_tokens.json",
                                "chat_template.jinja"};
    std::map<std::string, std::string> files;
    for (const char* name : kNames)
        if (fs::exists(folder / name)) files.emplace(name, read_file(folder / name, ExitCode::Checkpoint));
    return files;
}

bool has_tokenizer(const std::map<std::string, std::string>& text_files) {
    return text_files.contains("tokenizer.json") || text_files.contains(kTokenizerModel);
}

std::string first_few(const std::vector<std::string>& names) {
    constexpr std::size_t kShown = 5;
    const std::span<const std::string> shown(names.data(), std::min(kShown, names.size()));
    std::string text = fmt::format("{}", fmt::join(shown, ", "));
    if (names.size() > kShown) text += fmt::format(" and {} more", names.size() - kShown);
    return text;
}

}  // namespace sluice
