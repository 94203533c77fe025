#include "checkpoint/dataset_check.hpp"

#include "checkpoint/layout.hpp"
#include "checkpoint/sluice_file.hpp"

#include <unordered_set>

namespace sluice {
namespace {

using Names = std::unordered_set<std::string>;

// The datasets that each file should hold: common.h5's, then the slices'.
std::vector<Names> expected_datasets(const CheckpointSource& source, int slices) {
    std::vector<Names> files(static_cast<std::size_t>(slices - kCommonIndex));
    files[0].insert(text_dataset_name(kConfigName));
    for (const auto& [name, text] : source.text_files()) files[0].insert(text_dataset_name(name));
    for (const TensorSpec& spec : source.tensors()) {
        const bool scaled = source.form(spec).block != Block{};
        for (const int slice : slices_of(spec, slices)) {
            Names& names = files[static_cast<std::size_t>(slice - kCommonIndex)];
            names.insert(spec.name);
            if (scaled) names.insert(scale_dataset_name(spec.name));
        }
    }
    return files;
}

// "/layers" and "/layers/3" of "/layers/3/norm".
Names groups_of(const Names& datasets) {
    Names groups;
    for (const std::string& name : datasets)
        for (std::size_t at = name.find('/', 1); at != std::string::npos; at = name.find('/', at + 1))
            groups.insert(name.substr(0, at));
    return groups;
}

}  // namespace

StoredContent stored_content(const std::filesystem::path& folder, const CheckpointSource& source) {
    const int slices = SluiceFile(folder / checkpoint_file_name(kCommonIndex, 0), kCommonIndex, 0).slices();
    const std::vector<Names> expected = expected_datasets(source, slices);
    StoredContent content;
    ContentId id;
    for (int slice = kCommonIndex; slice < slices; ++slice) {
        const SluiceFile file(folder / checkpoint_file_name(slice, slices), slice, slices);
        const Names& datasets = expected[static_cast<std::size_t>(slice - kCommonIndex)];
        const Names groups = groups_of(datasets);
        for (const std::string& name : file.names()) {
            if (datasets.contains(name)) {
                const StoredDataset stored = file.find(name);
                id.add(name, slice, name_of(stored.dtype), stored.shape, stored.checksum);
            } else if (!groups.contains(name)) {
                content.unknown.push_back(file.path().string() + ": " + name);
            }
        }
    }
    content.id = id.text();
    return content;
}

}  // namespace sluice
