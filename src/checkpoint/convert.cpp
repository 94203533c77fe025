#include "checkpoint/convert.hpp"

#include "checkpoint/dequantize.hpp"
#include "checkpoint/layout.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "checkpoint/sluice_writer.hpp"
#include "core/json.hpp"

#include <algorithm>
#include <cstring>
#include <ranges>
#include <utility>

namespace sluice {
namespace {

// The configuration of the same model with plain matrices, keys in the order of the original.
std::string without_quantization(const std::string& config_json) {
    auto config = nlohmann::ordered_json::parse(config_json);
    config.erase("quantization_config");
    if (config.contains("dtype") && config["dtype"] == "fp8") {  // DeepSeek's own keys
        config["dtype"] = "bf16";
        config.erase("scale_fmt");
    }
    return config.dump(2) + "\n";
}

int chosen_slices(const ModelConfig& config, int wanted) {
    if (wanted == 0) return default_slices(config);
    std::string why;
    if (can_slice(config, wanted, &why)) return wanted;
    // Fewer slices than a possible number are possible, too, so a few catalogs tell the most.
    const auto counts = std::views::iota(1, wanted);
    const auto beyond =
        std::ranges::partition_point(counts, [&](int count) { return can_slice(config, count, nullptr); });
    const auto most = beyond - counts.begin();
    fail(ExitCode::Usage, "--slices {}: {}; 1 to {} would work, {} is the default", wanted, why, most,
         default_slices(config));
}

// The folder's own name. Names of files are any bytes; what is not UTF-8 becomes U+FFFD.
std::string name_of_folder(const std::filesystem::path& input) {
    const auto folder = std::filesystem::absolute(input).lexically_normal();
    const Json name = (folder.has_filename() ? folder : folder.parent_path()).filename().string();
    return Json::parse(name.dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

SluicePlan plan_for(const CheckpointSource& source, const std::filesystem::path& input,
                    const ConvertOptions& options) {
    SluicePlan plan;
    const ModelConfig& config = source.config();
    const bool plain = options.type == StoredType::Bf16;
    plan.slices = chosen_slices(config, options.slices);
    plan.config_json = plain && config.quantization.block_rows > 0
                           ? without_quantization(source.config_json())
                           : source.config_json();
    plan.text_files = source.text_files();
    plan.provenance = {
        {"source", name_of_folder(input)}, {"tool", options.tool}, {"dtype", plain ? "bf16" : "keep"}};
    for (TensorSpec& spec : tensor_catalog(config)) {
        PlannedTensor tensor{std::move(spec), DType::BF16, 0, 0};
        tensor.dtype = source.dtype(tensor.spec);
        if (tensor.dtype == DType::F8E4M3) {
            tensor.dtype = plain ? DType::BF16 : DType::F8E4M3;
            tensor.block_rows = plain ? 0 : config.quantization.block_rows;
            tensor.block_cols = plain ? 0 : config.quantization.block_cols;
        }
        plan.tensors.push_back(std::move(tensor));
    }
    return plan;
}

// Rows and columns of a dense matrix of `cols` elements of `item` bytes a row.
void copy_block(const std::byte* values, std::int64_t cols, std::size_t item, const Range& rows,
                const Range& part, std::byte* out) {
    const auto width = static_cast<std::size_t>(part.size()) * item;
    for (std::int64_t row = rows.begin; row < rows.end; ++row, out += width)
        std::memcpy(out, values + static_cast<std::size_t>(row * cols + part.begin) * item, width);
}

std::vector<float> part_scales(const SourceTensor& tensor, const SlicePart& part, std::int64_t scale_cols) {
    std::vector<float> scales;
    for (std::int64_t row = part.scale_rows.begin; row < part.scale_rows.end; ++row) {
        const auto first = tensor.scales.begin() + row * scale_cols;
        scales.insert(scales.end(), first + part.scale_cols.begin, first + part.scale_cols.end);
    }
    return scales;
}

void write_part(SluiceWriter& writer, const PlannedTensor& planned, const SourceTensor& tensor, int slice,
                int slices, const std::function<void(std::uint64_t)>& wrote) {
    const SlicePart part = slice_part(planned.spec, slice, slices, planned.block_rows, planned.block_cols);
    const std::int64_t cols = tensor.shape.elements() / tensor.shape[0];
    const std::int64_t scale_cols =
        planned.block_cols > 0 ? (cols + planned.block_cols - 1) / planned.block_cols : 0;
    const std::vector<float> scales = part_scales(tensor, part, scale_cols);
    const auto fill = [&](Range rows, std::byte* out) {
        const Range from{part.rows.begin + rows.begin, part.rows.begin + rows.end};
        if (planned.dtype == tensor.dtype) {
            copy_block(tensor.values, cols, size_of(tensor.dtype), from, part.cols, out);
        } else {
            const Fp8Matrix matrix{reinterpret_cast<const fp8*>(tensor.values), cols, tensor.scales,
                                   tensor.block_rows, tensor.block_cols};
            dequantize(matrix, from, part.cols, reinterpret_cast<bf16*>(out));
        }
        wrote(static_cast<std::uint64_t>(rows.size() * part.cols.size()) * size_of(planned.dtype));
    };
    writer.write(planned, slice, fill, scales);
    wrote(scales.size() * sizeof(float));
}

}  // namespace

ConvertResult convert_checkpoint(const std::filesystem::path& input, const std::filesystem::path& target,
                                 const ConvertOptions& options, const ConvertProgress& progress) {
    require(!is_sluice_checkpoint(input), ExitCode::Checkpoint,
            "{} is a Sluice checkpoint already: give the folder that it was made from", input.string());
    const auto source = open_hugging_face(input);
    const SluicePlan plan = plan_for(*source, input, options);
    parse_config(plan.config_json, "the configuration to be stored");
    ConvertResult result;
    result.slices = plan.slices;
    result.tensors = plan.tensors.size();
    const std::uint64_t total = tensor_bytes(plan);
    SluiceWriter writer(target, plan);
    const auto wrote = [&](std::uint64_t bytes) { progress(result.bytes += bytes, total); };
    for (const PlannedTensor& planned : plan.tensors) {
        const SourceTensor tensor = source->tensor(planned.spec);
        for (const int slice : slices_of(planned.spec, plan.slices))
            write_part(writer, planned, tensor, slice, plan.slices, wrote);
        source->release(planned.spec);
    }
    result.id = writer.finish();
    return result;
}

}  // namespace sluice
