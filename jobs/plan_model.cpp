#include "jobs/plan_model.hpp"

#include "checkpoint/hf_files.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "checkpoint/source.hpp"
#include "core/json.hpp"
#include "model/weights.hpp"

#include <algorithm>

namespace sluice {
namespace {

PlannedModel as_stored(const std::filesystem::path& path) {
    if (is_sluice_checkpoint(path)) {
        const auto checkpoint = open_sluice_checkpoint(path);
        return {checkpoint->config(), router_type(*checkpoint), checkpoint->slices(), true};
    }
    require(std::filesystem::exists(path), ExitCode::File, "--config {}: there is no such file or folder",
            path.string());
    const bool folder = std::filesystem::is_directory(path);
    if (folder && is_grok_release(path)) {
        const auto source = open_grok_release(path);
        const auto type_of = [&](const TensorSpec& tensor) { return source->form(tensor).dtype; };
        return {source->config(), router_type(source->config(), type_of), 0};
    }
    const std::filesystem::path file = folder ? find_config(path) : path;
    return {parse_config(read_file(file, ExitCode::Checkpoint), file.string()), DType::BF16, 0};
}

}  // namespace

PlannedModel read_planned_model(const std::filesystem::path& path, const std::string& dtype) {
    PlannedModel model = as_stored(path);
    Quantization& stored = model.config.quantization;
    const Quantization before = stored;
    if (dtype == "bf16") stored = {};
    if (dtype == "fp8" && before.dtype != DType::F8E4M3) stored = {DType::F8E4M3, 128, 128};
    if (dtype == "int8" && before.dtype != DType::I8) stored = {.dtype = DType::I8, .groups = 1};
    // Other values are another checkpoint, which has yet to be made.
    model.retyped = stored.dtype != before.dtype;
    if (model.retyped) model.slices = 0;
    return model;
}

}  // namespace sluice
