#include "checkpoint/conversion_plan.hpp"

#include "checkpoint/checksum.hpp"
#include "checkpoint/foreign_names.hpp"
#include "checkpoint/full_path.hpp"
#include "checkpoint/hdf5_target.hpp"
#include "checkpoint/hf_files.hpp"
#include "checkpoint/safetensors_target.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "core/error.hpp"
#include "core/json.hpp"
#include "model/config_edit.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice {
namespace {

constexpr int kFp8Block = 128;

const char* name_of(StoredType type) {
    switch (type) {
        case StoredType::Keep: return "keep";
        case StoredType::Bf16: return "bf16";
        case StoredType::Fp8: return "fp8";
        case StoredType::Int8: return "int8";
    }
    return "";
}

// What matrices become; those of Keep stay as they are.
ValueForm form_of(StoredType type, const TensorSpec& spec) {
    if (type == StoredType::Fp8) return {DType::F8E4M3, {kFp8Block, kFp8Block}};
    if (type == StoredType::Int8) return {DType::I8, {1, static_cast<int>(spec.full[1])}};
    return {DType::BF16, {}};
}

int chosen_slices(const CheckpointSource& source, const std::filesystem::path& input, int wanted) {
    const ModelConfig& config = source.config();
    if (wanted == 0) {
        const bool own = source.kind() == SourceKind::Sluice;
        return own ? open_sluice_checkpoint(input)->slices() : default_slices(config);
    }
    std::string why;
    if (can_slice(config, wanted, &why)) return wanted;
    // Fewer slices than a possible number are possible, too, so a few catalogs tell the most.
    int most = 1;
    for (int beyond = wanted; beyond - most > 1;) {
        const int between = most + (beyond - most) / 2;
        (can_slice(config, between, nullptr) ? most : beyond) = between;
    }
    fail(ExitCode::Usage, "--slices {}: {}; 1 to {} would work, {} is the default", wanted, why, most,
         default_slices(config));
}

// The folder's own name. Names of files are any bytes; what is not UTF-8 becomes U+FFFD.
std::string name_of_folder(const std::filesystem::path& input) {
    const Json name = full_path(input).filename().string();
    return Json::parse(name.dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

ValueForm stored_form(const TensorSpec& spec, const ValueForm& source, StoredType type) {
    if (type == StoredType::Keep || !spec.quantizable) return source;
    const ValueForm wanted = form_of(type, spec);
    return wanted.dtype == source.dtype ? source : wanted;
}

std::string stored_config(const CheckpointSource& source, StoredType type) {
    if (type == StoredType::Keep) return source.config_json();
    return with_matrices(source.config_json(), type == StoredType::Fp8    ? DType::F8E4M3
                                               : type == StoredType::Int8 ? DType::I8
                                                                          : DType::BF16);
}

// Files beside the weights that a user of the folder may want: whatever is neither weights, of any format,
// nor a log, nor said anew.
std::map<std::string, std::filesystem::path> files_beside(const std::filesystem::path& folder) {
    constexpr std::array kLeft{".log",  ".out",  ".err", ".safetensors", ".bin",  ".pt", ".pth", ".ckpt",
                               ".gguf", ".ggml", ".h5",  ".msgpack",     ".onnx", ".ot", ".npz", ".tflite"};
    constexpr std::uint64_t kLargest = 256 << 20;
    std::map<std::string, std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        const std::string kind = entry.path().extension().string();
        const bool left = std::ranges::find(kLeft, kind) != kLeft.end() || name.ends_with(".index.json") ||
                          (entry.is_regular_file() && entry.file_size() > kLargest);
        const bool config = name == kConfigName || (name.starts_with("config_") && kind == ".json");
        if (entry.is_regular_file() && !left && !config) files.emplace(name, entry.path());
    }
    return files;
}

SluicePlan sluice_plan(const CheckpointSource& source, const std::filesystem::path& input,
                       const ConvertOptions& options, const ConversionPlan& plan) {
    SluicePlan layout;
    layout.slices = plan.slices;
    layout.tensors = plan.tensors;
    layout.config_json = stored_config(source, options.type);
    layout.text_files = source.text_files();
    layout.provenance = {
        {"source", name_of_folder(input)}, {"tool", options.tool}, {"dtype", name_of(options.type)}};
    return layout;
}

std::unique_ptr<CheckpointTarget> safetensors_like(
    const CheckpointSource& source, const ConvertOptions& options, const std::vector<PlannedTensor>& tensors,
    const std::map<std::string, std::filesystem::path>& copies) {
    SafetensorsPlan layout;
    for (const PlannedTensor& tensor : tensors) {
        expect(tensor.block == Block{}, "{}: this layout is written without scales", tensor.spec.name);
        layout.tensors.push_back({source.names().name_of(tensor.spec), tensor.dtype, tensor.spec.full});
    }
    if (source.kind() != SourceKind::HuggingFace) layout.text_files = source.text_files();
    layout.text_files[std::string(kConfigName)] = stored_config(source, options.type);
    layout.file_bytes = options.file_bytes;
    return safetensors_target(std::move(layout), copies);
}

}  // namespace

ConversionPlan plan_conversion(const CheckpointSource& source, const std::filesystem::path& input,
                               const ConvertOptions& options) {
    ConversionPlan plan;
    plan.tokenizer = has_tokenizer(source.text_files());
    for (const TensorSpec& spec : source.tensors()) {
        const ValueForm form = stored_form(spec, source.form(spec), options.type);
        plan.tensors.push_back({spec, form.dtype, form.block});
    }
    parse_config(stored_config(source, options.type), "the configuration to be stored");
    std::map<std::string, std::filesystem::path> copies;
    if (options.format == TargetFormat::Hdf5) {
        plan.slices = chosen_slices(source, input, options.slices);
        plan.target = hdf5_target(sluice_plan(source, input, options, plan));
    } else {
        if (source.kind() == SourceKind::HuggingFace) copies = files_beside(input);
        plan.target = safetensors_like(source, options, plan.tensors, copies);
    }
    std::string texts;
    for (const auto& [name, text] : source.text_files())
        texts += fmt::format("{} {} {}\n", name, text.size(), text);
    // Of what is copied beside, the names alone: a log that is written there is another with each start.
    for (const auto& [name, path] : copies) texts += name + "\n";
    plan.identity =
        fmt::format("{} {} {} as {} in {} slices, files of {}\n", options.tool, source.fingerprint(),
                    checksum_text(checksum_of(texts.data(), texts.size())), name_of(options.type),
                    plan.slices, plan.slices == 0 ? options.file_bytes : 0);
    return plan;
}

}  // namespace sluice
