// Conversions as a whole: any number of ranks and threads, stops, memory, and every kind of source and
// target.
#include "checkpoint/checksum.hpp"
#include "checkpoint/convert.hpp"
#include "checkpoint/foreign_names.hpp"
#include "checkpoint/models.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "checkpoint/source.hpp"
#include "checkpoint/synthetic.hpp"
#include "support/scratch_folder.hpp"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>

namespace sluice {
namespace {

namespace fs = std::filesystem;

const ConvertProgress kQuiet = [](std::uint64_t, std::uint64_t) { return true; };

ConvertOptions to(StoredType type, TargetFormat format = TargetFormat::Hdf5) {
    ConvertOptions options;
    options.type = type;
    options.format = format;
    options.tool = "test 1";
    options.file_bytes = 1 << 20;
    return options;
}

std::map<std::string, std::string> files_of(const fs::path& folder) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(folder))
        files[entry.path().filename().string()] = content_of(entry.path());
    return files;
}

void expect_same_files(const fs::path& found, const fs::path& expected) {
    EXPECT_TRUE(files_of(found) == files_of(expected)) << found << " and " << expected;
}

std::vector<std::byte> values_of(const SourceTensor& tensor) {
    std::vector<std::byte> values(static_cast<std::size_t>(tensor.shape.elements()) *
                                  size_of(tensor.form.dtype));
    tensor.read({0, tensor.rows()}, values.data());
    return values;
}

// Tensors, types, values and scales, whatever the formats.
void expect_same_tensors(const fs::path& found, const fs::path& expected) {
    const auto a = open_source(found);
    const auto b = open_source(expected);
    ASSERT_EQ(a->tensors().size(), b->tensors().size());
    for (const TensorSpec& spec : b->tensors()) {
        const SourceTensor left = a->tensor(spec);
        const SourceTensor right = b->tensor(spec);
        ASSERT_EQ(left.form, right.form) << spec.name;
        ASSERT_EQ(left.scales, right.scales) << spec.name;
        ASSERT_EQ(values_of(left), values_of(right)) << spec.name;
    }
}

class Conversions : public testing::Test {
protected:
    void convert(const fs::path& from, const char* name, const ConvertOptions& options) const {
        convert_checkpoint(from, folder_ / name, options, kQuiet);
    }
    // Asks for a stop after some bytes.
    void convert_until(std::uint64_t bytes, const char* name, const ConvertOptions& options) const {
        const auto stop = [bytes](std::uint64_t done, std::uint64_t) { return done < bytes; };
        expect_error([&] { convert_checkpoint(model_, folder_ / name, options, stop); }, ExitCode::Stopped,
                     {"stopped before", name});
    }
    fs::path notes() const { return folder_ / "out.partial"; }

    ScratchFolder folder_;
    fs::path model_ = test::tiny_v3();
    fs::path out_ = folder_ / "out";
};

TEST_F(Conversions, RanksAndThreadsMakeNoDifference) {
    for (const ConvertOptions& options :
         {to(StoredType::Keep), to(StoredType::Int8), to(StoredType::Bf16, TargetFormat::Safetensors)}) {
        convert(model_, "one", options);
        for (const int ranks : {1, 2, 5}) {
            ConvertOptions more = options;
            more.threads = 3;
            std::vector<std::unique_ptr<Conversion>> crew;
            for (int rank = 0; rank < ranks; ++rank)
                crew.push_back(std::make_unique<Conversion>(model_, out_, more));
            EXPECT_EQ(crew[0]->prepare(), 0U);
            for (int rank = ranks - 1; rank >= 0; --rank) {
                crew[static_cast<std::size_t>(rank)]->begin(rank, ranks, "run");
                crew[static_cast<std::size_t>(rank)]->work(kQuiet);
                crew[static_cast<std::size_t>(rank)]->flush();
            }
            crew[0]->finish();
            expect_same_files(out_, folder_ / "one");
            EXPECT_FALSE(fs::exists(notes()));
            fs::remove_all(out_);
        }
        fs::remove_all(folder_ / "one");
    }
}

TEST_F(Conversions, GoOnWhereTheyStopped) {
    const ConvertOptions options = to(StoredType::Fp8);
    convert(model_, "whole", options);
    convert_until(2'000'000, "out", options);
    convert_until(6'000'000, "out", options);
    EXPECT_FALSE(fs::exists(out_));
    {
        Conversion again(model_, out_, options);
        EXPECT_GE(again.prepare(), 6'000'000U);
    }
    convert(model_, "out", options);
    expect_same_files(out_, folder_ / "whole");
    EXPECT_FALSE(fs::exists(notes()));
}

// What a loss of power may do to files that were noted as written.
TEST_F(Conversions, WriteAgainWhatIsDamaged) {
    const ConvertOptions options = to(StoredType::Keep);
    convert(model_, "whole", options);
    convert_until(3'000'000, "out", options);
    const fs::path file = notes() / "files" / "slice-000-of-004.h5";
    std::string bytes = content_of(file);
    const std::string whole = content_of(folder_ / "whole" / "slice-000-of-004.h5");
    const auto differs = std::ranges::mismatch(bytes, whole);  // not written, or sealed only at the end
    ASSERT_NE(differs.in1, bytes.end());
    std::fill(bytes.begin() + 200'000, bytes.begin() + 300'000, '\0');
    std::ofstream(file, std::ios::binary) << bytes;
    convert(model_, "out", options);
    expect_same_files(out_, folder_ / "whole");
}

TEST_F(Conversions, AnotherConversionDoesNotGoOn) {
    convert_until(1'000'000, "out", to(StoredType::Keep));
    expect_error([&] { convert(model_, "out", to(StoredType::Bf16)); }, ExitCode::File,
                 {"out.partial", "begun by another conversion", "as keep", "as bf16", "remove it"});
    test::copy_folder(model_, folder_ / "other");
    expect_error([&] { convert(folder_ / "other", "out", to(StoredType::Keep)); }, ExitCode::File,
                 {"begun by another conversion"});
    convert(model_, "out", to(StoredType::Keep));  // still there to go on with
}

// Ranks on other machines may find another folder under the same name.
TEST_F(Conversions, RanksMustSeeTheSameSource) {
    test::copy_folder(model_, folder_ / "other");
    Conversion first(model_, out_, to(StoredType::Keep));
    Conversion second(folder_ / "other", out_, to(StoredType::Keep));
    first.prepare();
    expect_error([&] { second.begin(1, 2, "run"); }, ExitCode::File, {"begun by another conversion"});
}

// Alike in names, sizes and times; so are files of an image, or of two trainings of one model.
TEST_F(Conversions, OtherValuesAreAnotherSource) {
    test::copy_folder(model_, folder_ / "other");
    const fs::path file = folder_ / "other" / test::kSecondFile;
    std::string bytes = content_of(file);
    bytes.back() ^= 1;
    std::ofstream(file, std::ios::binary) << bytes;
    for (const auto& entry : fs::directory_iterator(model_))
        fs::last_write_time(folder_ / "other" / entry.path().filename(), entry.last_write_time());
    convert_until(1'000'000, "out", to(StoredType::Keep));
    expect_error([&] { convert(folder_ / "other", "out", to(StoredType::Keep)); }, ExitCode::File,
                 {"begun by another conversion"});
}

TEST_F(Conversions, OtherTextsAreAnotherSource) {
    test::copy_folder(model_, folder_ / "model");
    model_ = folder_ / "model";
    for (const TargetFormat format : {TargetFormat::Hdf5, TargetFormat::Safetensors}) {
        const ConvertOptions options = to(StoredType::Bf16, format);
        convert_until(1'000'000, "out", options);
        const std::string text = content_of(model_ / "generation_config.json");
        folder_.put("model/generation_config.json", text + " ");
        expect_error([&] { convert(model_, "out", options); }, ExitCode::File,
                     {"begun by another conversion"});
        fs::remove_all(notes());
    }
}

// A log that is written into the model's folder grows while the conversion runs, and with each start.
TEST_F(Conversions, OtherFilesBesideAreNoOtherSource) {
    test::copy_folder(model_, folder_ / "model");
    model_ = folder_ / "model";
    folder_.put("model/notes.txt", "before");
    folder_.put("model/cast.log", "first start");
    const ConvertOptions options = to(StoredType::Bf16, TargetFormat::Safetensors);
    convert_until(1'000'000, "out", options);
    folder_.put("model/notes.txt", "before, and after");
    folder_.put("model/cast.log", "first start, second start");
    convert(model_, "out", options);
    EXPECT_EQ(content_of(out_ / "notes.txt"), "before");
    EXPECT_FALSE(fs::exists(out_ / "cast.log"));
}

TEST_F(Conversions, ASourceThatChangesMeanwhileIsNoticed) {
    test::copy_folder(model_, folder_ / "model");
    const fs::path file = folder_ / "model" / test::kFirstFile;
    const auto change = [&](std::uint64_t, std::uint64_t) {
        fs::last_write_time(file, fs::last_write_time(file) + std::chrono::seconds(1));
        return true;
    };
    expect_error([&] { convert_checkpoint(folder_ / "model", out_, to(StoredType::Keep), change); },
                 ExitCode::Checkpoint, {"model changed while it was read"});
    EXPECT_FALSE(fs::exists(out_));
    EXPECT_FALSE(fs::exists(notes())) << "what was noted may be of either";
}

// The others of a job do not go on for hours where one has failed; and it is the failed one that says why.
TEST_F(Conversions, RanksEndTogether) {
    const ConvertOptions options = to(StoredType::Keep);
    Conversion first(model_, out_, options);
    Conversion second(model_, out_, options);
    first.prepare();
    first.begin(0, 2, "run");
    second.begin(1, 2, "run");
    const auto fails = [](std::uint64_t, std::uint64_t) -> bool { fail(ExitCode::File, "no space"); };
    expect_error([&] { second.work(fails); }, ExitCode::File, {"no space"});
    std::uint64_t done = 0;
    std::uint64_t all = 0;
    const auto count = [&](std::uint64_t now, std::uint64_t total) {
        done = now;
        all = total;
        return true;
    };
    first.work(count);
    EXPECT_LT(done, all);
    expect_error([&] { first.finish(); }, ExitCode::Stopped, {"is not finished", "the same command"});
    // That was then.
    first.begin(0, 2, "next run");
    first.work(count);
    EXPECT_EQ(done, all);
}

TEST_F(Conversions, ARefusedSourceLeavesNothing) {
    test::copy_folder(model_, folder_ / "model");
    auto tensors = test::read_safetensors(folder_ / "model" / "model-00002-of-00002.safetensors");
    const auto scales = std::ranges::find_if(
        tensors, [](const auto& tensor) { return tensor.first.ends_with("_scale_inv"); });
    const float nan = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(scales->second.bytes.data(), &nan, sizeof nan);
    test::write_safetensors(folder_ / "model" / "model-00002-of-00002.safetensors", tensors);
    expect_error([&] { convert(folder_ / "model", "out", to(StoredType::Keep)); }, ExitCode::Checkpoint,
                 {"block scale is nan"});
    EXPECT_FALSE(fs::exists(notes()));
    EXPECT_FALSE(fs::exists(out_));
}

TEST_F(Conversions, SluiceCheckpointsAreCutAgain) {
    for (const StoredType type : {StoredType::Keep, StoredType::Int8, StoredType::Bf16}) {
        ConvertOptions two = to(type);
        two.slices = 2;
        convert(model_, "four", to(type));
        convert(model_, "two", two);
        ConvertOptions keep = to(StoredType::Keep);
        convert(folder_ / "four", "same", keep);
        keep.slices = 2;
        convert(folder_ / "four", "again", keep);
        EXPECT_EQ(open_sluice_checkpoint(folder_ / "same")->id(),
                  open_sluice_checkpoint(folder_ / "four")->id());
        EXPECT_EQ(open_sluice_checkpoint(folder_ / "again")->id(),
                  open_sluice_checkpoint(folder_ / "two")->id());
        expect_same_tensors(folder_ / "again", folder_ / "two");
        for (const char* name : {"four", "two", "same", "again"}) fs::remove_all(folder_ / name);
    }
}

TEST_F(Conversions, ADamagedSluiceSourceIsRefused) {
    convert(model_, "four", to(StoredType::Keep));
    const fs::path file = folder_ / "four" / "slice-002-of-004.h5";
    std::string bytes = content_of(file);
    bytes[bytes.size() - 9000] ^= 1;
    std::ofstream(file, std::ios::binary) << bytes;
    expect_error([&] { convert(folder_ / "four", "out", to(StoredType::Bf16)); }, ExitCode::Checkpoint,
                 {"slice-002-of-004.h5", "is altered", "checksum"});
    EXPECT_FALSE(fs::exists(out_));
}

// bf16 is exact, so that the way does not matter.
TEST_F(Conversions, AllWaysToBf16AreOne) {
    convert(model_, "hdf5", to(StoredType::Bf16));
    convert(model_, "hf", to(StoredType::Bf16, TargetFormat::Safetensors));
    convert(model_, "kept", to(StoredType::Keep));
    convert(folder_ / "kept", "cast", to(StoredType::Bf16));
    convert(folder_ / "hdf5", "back", to(StoredType::Bf16, TargetFormat::Safetensors));
    expect_same_tensors(folder_ / "hf", folder_ / "hdf5");
    expect_same_tensors(folder_ / "cast", folder_ / "hdf5");
    expect_same_tensors(folder_ / "back", folder_ / "hdf5");
    EXPECT_EQ(open_source(folder_ / "hf")->names().name_of({"/mtp/4/join", {}}),
              "model.layers.4.eh_proj.weight");
}

// The record was made by another library from files of ours, and agrees with a third one's arithmetic.
TEST_F(Conversions, SafetensorsAreWhatHuggingFaceReadsThemAs) {
    convert(model_, "hf", to(StoredType::Bf16, TargetFormat::Safetensors));
    const test::RawTensors tensors = test::read_model(folder_ / "hf");
    std::ifstream record(fs::path(SLUICE_TEST_DATA) / "deepseek-v3-tiny-bf16.txt");
    std::size_t count = 0;
    for (std::string line; std::getline(record, line);) {
        if (line.starts_with('#')) continue;
        const std::string name = line.substr(0, line.find(' '));
        const test::RawTensor& tensor = tensors.at(name);
        const std::string dtype = tensor.dtype == "BF16"  ? "bfloat16"
                                  : tensor.dtype == "F32" ? "float32"
                                                          : "?";
        EXPECT_EQ(line, fmt::format("{} {} {} {}", name, dtype, fmt::join(tensor.shape, "x"),
                                    checksum_text(checksum_of(tensor.bytes.data(), tensor.bytes.size()))));
        ++count;
    }
    EXPECT_EQ(count, tensors.size());
}

TEST_F(Conversions, SafetensorsComeWithWhatLayBesideThem) {
    test::copy_folder(model_, folder_ / "model");
    folder_.put("model/README.md", "about the model");
    folder_.put("model/configuration_deepseek.py", "import torch");
    folder_.put("model/pytorch_model.bin", "weights of another format");
    convert(folder_ / "model", "hf", to(StoredType::Bf16, TargetFormat::Safetensors));
    const auto files = files_of(folder_ / "hf");
    EXPECT_EQ(files.at("README.md"), "about the model");
    EXPECT_EQ(files.at("configuration_deepseek.py"), "import torch");
    EXPECT_EQ(files.at("tokenizer.json"), content_of(model_ / "tokenizer.json"));
    EXPECT_FALSE(files.contains("pytorch_model.bin"));
    EXPECT_FALSE(nlohmann::json::parse(files.at("config.json")).contains("quantization_config"));
    const auto index = nlohmann::json::parse(files.at("model.safetensors.index.json"));
    std::uint64_t bytes = 0;
    for (const TensorSpec& spec : open_source(folder_ / "hf")->tensors())
        bytes += static_cast<std::uint64_t>(spec.full.elements()) *
                 size_of(open_source(folder_ / "hf")->form(spec).dtype);
    EXPECT_EQ(index.at("metadata").at("total_size"), bytes);
}

TEST_F(Conversions, EveryFamilyAndTypeIsRead) {
    const fs::path models = fs::path(SLUICE_TEST_DATA) / "models";
    for (const char* model : {"deepseek-v2-tiny", "llama-tiny", "grok-tiny", "grok-tiny-2host"}) {
        for (const StoredType type :
             {StoredType::Keep, StoredType::Bf16, StoredType::Fp8, StoredType::Int8}) {
            convert(models / model, "out", to(type));
            const auto checkpoint = open_source(out_);
            const DType expected = type == StoredType::Fp8    ? DType::F8E4M3
                                   : type == StoredType::Int8 ? DType::I8
                                                              : DType::BF16;
            for (const TensorSpec& spec : checkpoint->tensors()) {
                if (!spec.quantizable) continue;
                EXPECT_NO_THROW(checkpoint->tensor(spec)) << model << spec.name;
                if (type == StoredType::Keep) continue;
                EXPECT_EQ(checkpoint->form(spec).dtype, expected) << model << spec.name;
            }
            if (type != StoredType::Keep) {
                EXPECT_EQ(checkpoint->config().quantization.dtype, expected) << model;
            }
            fs::remove_all(out_);
        }
    }
}

TEST_F(Conversions, TellWhatQuantisingChanged) {
    const ConvertResult kept = convert_checkpoint(model_, folder_ / "kept", to(StoredType::Keep), kQuiet);
    EXPECT_TRUE(kept.quantized.empty());
    const ConvertResult result = convert_checkpoint(model_, out_, to(StoredType::Int8), kQuiet);
    const auto source = open_source(model_);
    const auto matrices = std::ranges::count_if(source->tensors(), &TensorSpec::quantizable);
    EXPECT_EQ(result.quantized.size(), static_cast<std::size_t>(matrices));
    for (const QuantizedTensor& tensor : result.quantized) {
        EXPECT_GT(tensor.error.largest, 0) << tensor.name;
        EXPECT_GT(tensor.error.relative(), 1e-4) << tensor.name;
        EXPECT_LT(tensor.error.relative(), 0.02) << tensor.name;
    }
}

TEST_F(Conversions, TooLittleMemoryIsSaidBefore) {
    ConvertOptions options = to(StoredType::Keep);
    options.memory = 1 << 20;
    expect_error([&] { convert(model_, "out", options); }, ExitCode::Usage,
                 {"--memory 1.00 MiB", "are needed", "largest tensor"});
    EXPECT_FALSE(fs::exists(notes()));
}

TEST_F(Conversions, ZerosBecomeHoles) {
    nlohmann::ordered_json config = test::odd_sizes();
    test::write_random_model(folder_ / "model", config, 20);
    ConvertOptions options = to(StoredType::Keep);
    convert(folder_ / "model", "whole", options);
    options.holes = true;
    convert(folder_ / "model", "out", options);
    expect_same_files(out_, folder_ / "whole");
}

// Where zeros belong may lie anything, after a loss of power.
TEST_F(Conversions, HolesAreFilledOverDamage) {
    SyntheticOptions synthetic;
    synthetic.config_json = content_of(model_ / "config.json");
    synthetic.holes = true;
    write_synthetic_checkpoint(folder_ / "zeros", synthetic, [](std::uint64_t, std::uint64_t) {});
    model_ = folder_ / "zeros";
    ConvertOptions options = to(StoredType::Keep);
    options.holes = true;
    convert(model_, "whole", options);
    convert_until(6'000'000, "out", options);
    const fs::path file = notes() / "files" / "slice-000-of-004.h5";
    const auto size = fs::file_size(file);
    std::fstream(file, std::ios::binary | std::ios::in | std::ios::out)
        .seekp(static_cast<std::streamoff>(size / 3))
        .write(std::string(10'000, 'x').data(), 10'000);
    convert(model_, "out", options);
    expect_same_files(out_, folder_ / "whole");
}

}  // namespace
}  // namespace sluice
