#include "checkpoint/safetensors_target.hpp"

#include "checkpoint/output_file.hpp"
#include "core/error.hpp"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

namespace fs = std::filesystem;

// The system copies, in memory of its own.
void copy_over(const fs::path& from, const fs::path& to) {
    std::error_code problem;
    fs::remove(to, problem);  // a copy may be without the right to be written
    fs::copy_file(from, to, problem);
    require(!problem, ExitCode::File, "cannot copy {} to {}: {}", from.string(), to.string(),
            problem.message());
}

class SafetensorsTarget final : public CheckpointTarget {
public:
    SafetensorsTarget(SafetensorsPlan plan, std::map<std::string, fs::path> copies)
        : layout_(std::move(plan)), copies_(std::move(copies)), bytes_(layout_.bytes()) {
        for (const auto& [name, source] : copies_) {
            expect(!layout_.plan().text_files.contains(name) &&
                       std::ranges::find(layout_.files(), name) == layout_.files().end(),
                   "{}: two files of one name", name);
            std::error_code problem;
            const std::uint64_t size = fs::file_size(source, problem);
            require(!problem, ExitCode::File, "cannot read {}: {}", source.string(), problem.message());
            bytes_ += size;
        }
    }

    std::uint64_t bytes() const override { return bytes_; }

    void create(const fs::path& folder) const override {
        for (std::size_t index = 0; index < layout_.files().size(); ++index) {
            OutputFile file(folder / layout_.files()[index], OutputFile::Mode::Empty);
            file.write(0, std::as_bytes(std::span(layout_.header(index))));
            file.resize(layout_.file_bytes(index));
            file.sync();
            file.close();
        }
        for (const auto& [name, text] : layout_.plan().text_files) {
            create_file(folder / name, text);
            sync_path(folder / name);
        }
        for (const auto& [name, source] : copies_) {
            copy_over(source, folder / name);
            sync_path(folder / name);
        }
        sync_path(folder);
    }

    void open(const fs::path& folder) override {
        for (std::size_t index = 0; index < layout_.files().size(); ++index) {
            const OutputFile file(folder / layout_.files()[index], OutputFile::Mode::Fill);
            const std::string& expected = layout_.header(index);
            std::string header(std::min<std::uint64_t>(expected.size(), file.size()), '\0');
            file.read(0, std::as_writable_bytes(std::span(header)));
            require(header == expected && file.size() == layout_.file_bytes(index), ExitCode::File,
                    "{}: not as it was laid out: remove the folder and start again", file.path().string());
        }
    }

    const std::vector<std::string>& files() const override { return layout_.files(); }

    std::vector<PlacedPart> parts(std::size_t tensor) const override {
        const SafetensorsTensor& planned = layout_.plan().tensors.at(tensor);
        const SafetensorsLayout::Place place = layout_.place(tensor);
        PlacedPart part;
        part.rows = {0, planned.shape[0]};
        part.cols = {0, planned.shape.row_elements()};
        part.values = {static_cast<int>(place.file), place.begin, planned.bytes()};
        return {part};
    }

    // The format has no checksums.
    std::string seal(const fs::path&, const std::vector<std::vector<PartChecksums>>&) override { return {}; }

private:
    SafetensorsLayout layout_;
    std::map<std::string, fs::path> copies_;
    std::uint64_t bytes_;
};

}  // namespace

std::unique_ptr<CheckpointTarget> safetensors_target(SafetensorsPlan plan,
                                                     std::map<std::string, fs::path> copies) {
    return std::make_unique<SafetensorsTarget>(std::move(plan), std::move(copies));
}

}  // namespace sluice
