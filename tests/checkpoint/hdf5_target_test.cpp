// Sluice checkpoints that are laid out whole, filled at known places, and sealed.
#include "checkpoint/hdf5_target.hpp"
#include "checkpoint/models.hpp"
#include "checkpoint/output_files.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace sluice {
namespace {

namespace fs = std::filesystem;

using Checksums = std::vector<std::vector<PartChecksums>>;

SluicePlan plan_in(int slices) {
    SluicePlan plan;
    plan.slices = slices;
    plan.config_json = content_of(test::tiny_v3() / "config.json");
    plan.text_files = {{"tokenizer.json", "{}"}, {"empty.txt", ""}};
    plan.provenance = {{"source", "somewhere"}};
    const ModelConfig config = parse_config(plan.config_json, "configuration");
    for (TensorSpec& spec : tensor_catalog(config)) {
        const Block block = block_of(spec, config.quantization);
        const DType dtype = block == Block{} ? DType::BF16 : DType::F8E4M3;
        plan.tensors.push_back({std::move(spec), dtype, block});
    }
    return plan;
}

// Byte i of a part's values; one more for its scales.
std::vector<std::byte> content(std::size_t tensor, std::size_t part, std::uint64_t bytes, unsigned more = 0) {
    std::vector<std::byte> content(bytes);
    for (std::size_t i = 0; i < bytes; ++i)
        content[i] = static_cast<std::byte>(7 * tensor + 3 * part + i + i / 256 + more);
    return content;
}

class Hdf5Target : public testing::Test {
protected:
    static Checksums fill(const fs::path& folder, const CheckpointTarget& target, std::size_t tensors) {
        const OutputFiles files(folder, target.files());
        Checksums checksums(tensors);
        for (std::size_t tensor = 0; tensor < tensors; ++tensor) {
            const auto parts = target.parts(tensor);
            for (std::size_t part = 0; part < parts.size(); ++part) {
                const auto values = content(tensor, part, parts[part].values.bytes);
                const auto scales = content(tensor, part, parts[part].scales.bytes, 1);
                files.write(parts[part].values, 0, values);
                files.write(parts[part].scales, 0, scales);
                checksums[tensor].push_back({checksum_of(values.data(), values.size()),
                                             scales.empty() ? 0 : checksum_of(scales.data(), scales.size())});
            }
        }
        return checksums;
    }
    fs::path make(const char* name) const {
        fs::create_directory(folder_ / name);
        return folder_ / name;
    }
    // Laid out in a folder of this name, and opened.
    std::unique_ptr<CheckpointTarget> laid_out(const char* name) const {
        auto target = hdf5_target(plan_);
        target->create(make(name));
        target->open(folder_ / name);
        return target;
    }
    void expect_equal(const char* a, const char* b) const {
        for (const std::string& name : names_)
            EXPECT_TRUE(content_of(folder_ / a / name) == content_of(folder_ / b / name)) << name;
    }

    ScratchFolder folder_;
    SluicePlan plan_ = plan_in(4);
    std::vector<std::string> names_ = hdf5_target(plan_)->files();
};

TEST_F(Hdf5Target, IsLaidOutInTheSameBytesEveryTime) {
    laid_out("a");
    ASSERT_EQ(names_.size(), 5U);
    make("b");
    for (const std::string& name : names_) folder_.put("b/" + name, std::string(300'000, 'x'));
    laid_out("b");  // over what a killed process left
    expect_equal("a", "b");
}

TEST_F(Hdf5Target, PartsCoverEveryTensorOnceAndNoOtherBytes) {
    const auto target = laid_out("a");
    std::map<int, std::vector<Extent>> extents;
    for (std::size_t tensor = 0; tensor < plan_.tensors.size(); ++tensor) {
        const PlannedTensor& planned = plan_.tensors[tensor];
        std::int64_t elements = 0;
        for (const PlacedPart& part : target->parts(tensor)) {
            elements += part.rows.size() * part.cols.size();
            EXPECT_EQ(part.values.bytes, static_cast<std::uint64_t>(part.rows.size() * part.cols.size()) *
                                             size_of(planned.dtype));
            EXPECT_EQ(part.scales.bytes,
                      static_cast<std::uint64_t>(part.scale_rows.size() * part.scale_cols.size()) * 4);
            extents[part.values.file].push_back(part.values);
            if (planned.block.rows > 0) extents[part.scales.file].push_back(part.scales);
        }
        EXPECT_EQ(elements, planned.spec.full.elements()) << planned.spec.name;
    }
    EXPECT_EQ(extents.size(), names_.size());
    for (auto& [file, all] : extents) {
        std::ranges::sort(all, {}, &Extent::offset);
        for (std::size_t i = 0; i < all.size(); ++i) {
            EXPECT_EQ(all[i].offset % 4096, 0U);
            EXPECT_TRUE(i == 0 || all[i].offset >= all[i - 1].offset + all[i - 1].bytes);
        }
        const fs::path path = folder_ / "a" / names_.at(static_cast<std::size_t>(file));
        EXPECT_EQ(fs::file_size(path), all.back().offset + all.back().bytes) << path;
        EXPECT_LE(fs::file_size(path), target->bytes());
    }
}

TEST_F(Hdf5Target, IsReadOnceItIsSealed) {
    const auto target = laid_out("a");
    const Checksums checksums = fill(folder_ / "a", *target, plan_.tensors.size());
    expect_error([&] { open_sluice_checkpoint(folder_ / "a"); }, ExitCode::Checkpoint,
                 {"common.h5", "never finished"});
    const std::string id = target->seal(folder_ / "a", checksums);
    const auto checkpoint = open_sluice_checkpoint(folder_ / "a");
    EXPECT_EQ(checkpoint->id(), id);
    EXPECT_EQ(checkpoint->config_json(), plan_.config_json);
    EXPECT_EQ(checkpoint->text_files(), plan_.text_files);
    EXPECT_EQ(checkpoint->provenance(), plan_.provenance);
    for (std::size_t tensor = 0; tensor < plan_.tensors.size(); ++tensor) {
        const TensorSpec& spec = plan_.tensors[tensor].spec;
        const auto slices = slices_of(spec, plan_.slices);
        for (std::size_t part = 0; part < slices.size(); ++part) {
            const TensorSlice read = checkpoint->read(spec, slices[part]);
            EXPECT_TRUE(std::ranges::equal(read.values, content(tensor, part, read.values.size())))
                << spec.name;
            const auto scales = std::as_bytes(std::span(read.scales));
            EXPECT_TRUE(std::ranges::equal(scales, content(tensor, part, scales.size(), 1))) << spec.name;
        }
    }
}

TEST_F(Hdf5Target, TheIdTellsContents) {
    const auto target = laid_out("a");
    Checksums checksums = fill(folder_ / "a", *target, plan_.tensors.size());
    std::set<std::string> ids{target->seal(folder_ / "a", checksums)};
    checksums[3][0].values ^= 1;
    ids.insert(target->seal(folder_ / "a", checksums));
    plan_.text_files["tokenizer.json"] = "[]";
    const auto other = laid_out("b");
    ids.insert(other->seal(folder_ / "b", checksums));
    EXPECT_EQ(ids.size(), 3U);
}

// What a kill in the middle of seal() leaves: some files sealed, some not, and some in part.
TEST_F(Hdf5Target, IsSealedAgainToTheSameBytes) {
    const auto target = laid_out("whole");
    const Checksums checksums = fill(folder_ / "whole", *target, plan_.tensors.size());
    test::copy_folder(folder_ / "whole", folder_ / "unsealed");
    const std::string id = target->seal(folder_ / "whole", checksums);
    test::copy_folder(folder_ / "whole", folder_ / "again");
    EXPECT_EQ(target->seal(folder_ / "again", checksums), id);
    expect_equal("whole", "again");

    for (const std::size_t piece : {64, 512, 4096, 10'000}) {
        for (const bool odd : {false, true}) {
            make("half");
            for (const std::string& name : names_) {
                std::string mixed = content_of(folder_ / "unsealed" / name);
                const std::string sealed = content_of(folder_ / "whole" / name);
                ASSERT_EQ(mixed.size(), sealed.size());
                ASSERT_NE(mixed, sealed);
                for (std::size_t at = odd ? piece : 0; at < mixed.size(); at += 2 * piece)
                    mixed.replace(at, piece, sealed, at, piece);
                folder_.put("half/" + name, mixed);
            }
            const auto next = hdf5_target(plan_);  // in another process
            next->open(folder_ / "half");
            EXPECT_EQ(next->seal(folder_ / "half", checksums), id);
            expect_equal("whole", "half");
        }
    }
}

TEST_F(Hdf5Target, OtherFilesAreRefused) {
    laid_out("a");
    const auto refused = [&](SluicePlan plan, std::initializer_list<std::string_view> parts) {
        expect_error([&] { hdf5_target(std::move(plan))->open(folder_ / "a"); }, ExitCode::File, parts);
    };
    SluicePlan other = plan_;
    other.tensors.pop_back();
    refused(other, {".h5", "were laid out", "remove the folder and start again"});
    other = plan_;
    other.tensors[1].dtype = DType::F32;
    refused(other, {plan_.tensors[1].spec.name, "not stand where it was laid out"});
    other = plan_;
    std::swap(other.tensors.front(), other.tensors.back());
    refused(other, {"not stand where it was laid out"});
    const fs::path last = folder_ / "a" / names_.back();
    fs::resize_file(last, fs::file_size(last) - 1);
    refused(plan_, {names_.back(), "truncated"});
    fs::remove(last);
    refused(plan_, {names_.back(), "cannot open"});
}

}  // namespace
}  // namespace sluice
