#include "checkpoint/convert.hpp"

#include "checkpoint/dequantize.hpp"
#include "checkpoint/hf_files.hpp"
#include "checkpoint/layout.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "checkpoint/sluice_writer.hpp"
#include "core/json.hpp"
#include "model/config_edit.hpp"

#include <cstring>
#include <utility>

namespace sluice {
namespace {

int chosen_slices(const ModelConfig& config, int wanted) {
    if (wanted == 0) return default_slices(config);
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

SluicePlan plan_for(const CheckpointSource& source, const std::filesystem::path& input,
                    const ConvertOptions& options) {
    SluicePlan plan;
    const ModelConfig& config = source.config();
    const bool plain = options.type == StoredType::Bf16;
    plan.slices = chosen_slices(config, options.slices);
    plan.config_json = plain && config.quantization.on() ? with_matrices(source.config_json(), DType::BF16)
                                                         : source.config_json();
    plan.text_files = source.text_files();
    plan.provenance = {
        {"source", name_of_folder(input)}, {"tool", options.tool}, {"dtype", plain ? "bf16" : "keep"}};
    for (TensorSpec& spec : tensor_catalog(config)) {
        PlannedTensor tensor{std::move(spec), DType::BF16, {}};
        const SourceForm form = source.form(tensor.spec);
        const bool cast = plain && form.block != Block{};
        tensor.dtype = cast ? DType::BF16 : form.dtype;
        if (!cast) tensor.block = form.block;
        plan.tensors.push_back(std::move(tensor));
    }
    return plan;
}

// Dequantised rows and columns. A source that stands as it is wanted is read in place.
void cast(const SourceTensor& tensor, const Range& rows, const Range& cols, std::byte* out) {
    QuantizedPart part{nullptr,       tensor.dtype,        rows,        cols, cols.size(),
                       tensor.scales, tensor.scale_cols(), tensor.block};
    std::vector<std::byte> copied;
    if (tensor.pieces.size() == 1 && tensor.pieces.front().col_stride == 1) {
        part.row_stride = tensor.pieces.front().row_stride;
        part.values = tensor.pieces.front().values + rows.begin * part.row_stride + cols.begin;
    } else {
        copied.resize(static_cast<std::size_t>(rows.size() * cols.size()));
        tensor.copy(rows, cols, copied.data());
        part.values = copied.data();
    }
    dequantize(part, reinterpret_cast<bf16*>(out));
}

std::vector<float> part_scales(const SourceTensor& tensor, const SlicePart& part) {
    std::vector<float> scales;
    for (std::int64_t row = part.scale_rows.begin; row < part.scale_rows.end; ++row) {
        const auto first = tensor.scales.begin() + row * tensor.scale_cols();
        scales.insert(scales.end(), first + part.scale_cols.begin, first + part.scale_cols.end);
    }
    return scales;
}

void write_part(SluiceWriter& writer, const PlannedTensor& planned, const SourceTensor& tensor, int slice,
                int slices, const std::function<void(std::uint64_t)>& wrote) {
    const SlicePart part = slice_part(planned.spec, slice, slices, planned.block);
    const std::vector<float> scales = part_scales(tensor, part);
    const auto fill = [&](Range rows, std::byte* out) {
        const Range from{part.rows.begin + rows.begin, part.rows.begin + rows.end};
        if (planned.dtype == tensor.dtype) {
            tensor.copy(from, part.cols, out);
        } else {
            cast(tensor, from, part.cols, out);
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
    const auto source = open_source(input);
    const SluicePlan plan = plan_for(*source, input, options);
    parse_config(plan.config_json, "the configuration to be stored");
    ConvertResult result;
    result.slices = plan.slices;
    result.tensors = plan.tensors.size();
    result.tokenizer = has_tokenizer(plan.text_files);
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
