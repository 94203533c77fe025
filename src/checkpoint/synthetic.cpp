#include "checkpoint/synthetic.hpp"

#include "checkpoint/foreign_names.hpp"
#include "checkpoint/safetensors_writer.hpp"
#include "checkpoint/synthetic_values.hpp"
#include "core/error.hpp"
#include "model/config_edit.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

constexpr std::uint64_t kPieceElements = 1 << 20;
static_assert(kPieceElements % kPieceAlignment == 0);

// One tensor of a file, and how its values are drawn.
struct Recipe {
    SafetensorsTensor tensor;
    Distribution values;
};

// Uniform values of variance 1/width keep the size of what they multiply.
float spread_of(std::int64_t width) { return std::sqrt(3.0F / static_cast<float>(width)); }

// The catalog's, and those of the layers for multi-token prediction, each like a layer in its place.
std::vector<TensorSpec> all_tensors(const std::string& config_json, const ModelConfig& config) {
    if (config.mtp_layers == 0) return tensor_catalog(config);
    const auto layers = static_cast<int>(config.layers.size());
    const std::string longer = with_layers(config_json, layers + config.mtp_layers);
    std::vector<TensorSpec> tensors = tensor_catalog(parse_config(longer, "configuration"));
    for (int layer = layers; layer < layers + config.mtp_layers; ++layer) {
        for (TensorSpec& spec : prediction_tensors(config, layer)) tensors.push_back(std::move(spec));
    }
    return tensors;
}

Distribution distribution_of(const TensorSpec& spec, const ModelConfig& config) {
    const bool vector = spec.full.rank() == 1;
    if (spec.name.ends_with("router_bias")) return {0, 0.05F};  // scores lie in (0, 1)
    if (spec.name.ends_with("bias")) return {0, 0.25F};
    if (vector) return {1, 0.25F};  // the weight of a norm
    // An embedding begins the residual stream at size 1, unless it is the output matrix, too.
    if (spec.name.ends_with("/embed") && !config.tied_head) return {0, spread_of(1)};
    return {0, spread_of(spec.full[1])};
}

Recipe scales_of(const TensorSpec& spec, const Recipe& matrix, const Quantization& quantization) {
    constexpr float kFp8Largest = 448;
    const float mean = matrix.values.spread / kFp8Largest;
    const Shape shape{blocks(spec.full[0], quantization.block_rows),
                      blocks(spec.full[1], quantization.block_cols)};
    return {{scale_name(matrix.tensor.name), DType::F32, shape},
            {mean, 0.5F * mean, quantization.power_of_two_scales}};
}

std::vector<Recipe> recipes_of(const std::string& config_json, const ModelConfig& config) {
    const NameLayout& layout = hugging_face_layout(config, [](const std::string&) { return true; });
    std::vector<Recipe> recipes;
    for (const TensorSpec& spec : all_tensors(config_json, config)) {
        Recipe recipe{{layout.name_of(spec), DType::BF16, spec.full}, distribution_of(spec, config)};
        const bool quantized = spec.quantizable && config.quantization.on();
        if (spec.name.ends_with("router_bias")) recipe.tensor.dtype = DType::F32;
        if (quantized) recipe.tensor.dtype = DType::F8E4M3;
        recipes.push_back(recipe);
        if (quantized) recipes.push_back(scales_of(spec, recipe, config.quantization));
    }
    return recipes;
}

// Makes and writes all values, a piece at a time, on several threads.
class Generation {
public:
    Generation(const std::vector<Recipe>& recipes, std::uint64_t seed, SafetensorsWriter& writer,
               const std::function<void(std::uint64_t)>& wrote)
        : recipes_(recipes), seed_(seed), writer_(writer), wrote_(wrote) {}

    void run(int threads) {
        {
            std::vector<std::jthread> others;
            for (int i = 1; i < threads; ++i) others.emplace_back([this] { work(); });
            work();
        }
        if (problem_) std::rethrow_exception(problem_);
    }

private:
    struct Piece {
        std::size_t recipe = 0;
        std::uint64_t first = 0, elements = 0;
    };

    void work() try {
        std::vector<std::byte> bytes;
        while (const std::optional<Piece> piece = take()) {
            const Recipe& recipe = recipes_[piece->recipe];
            const std::size_t item = size_of(recipe.tensor.dtype);
            bytes.resize(piece->elements * item);
            make_values(value_key(seed_, recipe.tensor.name), recipe.values, recipe.tensor.dtype,
                        piece->first, bytes);
            writer_.write(piece->recipe, piece->first * item, bytes);
            const std::lock_guard lock(mutex_);
            wrote_(bytes.size());
        }
    } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!problem_) problem_ = std::current_exception();
        next_.recipe = recipes_.size();  // the others stop, too
    }

    std::optional<Piece> take() {
        const std::lock_guard lock(mutex_);
        if (next_.recipe >= recipes_.size()) return std::nullopt;
        const auto elements = static_cast<std::uint64_t>(recipes_[next_.recipe].tensor.shape.elements());
        Piece piece = next_;
        piece.elements = std::min(kPieceElements, elements - piece.first);
        next_.first += piece.elements;
        if (next_.first == elements) next_ = {next_.recipe + 1, 0, 0};
        return piece;
    }

    const std::vector<Recipe>& recipes_;
    std::uint64_t seed_;
    SafetensorsWriter& writer_;
    const std::function<void(std::uint64_t)>& wrote_;
    std::mutex mutex_;
    Piece next_;
    std::exception_ptr problem_;
};

}  // namespace

SyntheticResult write_synthetic_checkpoint(
    const std::filesystem::path& target, const SyntheticOptions& options,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    const ModelConfig config = parse_config(options.config_json, "configuration");
    require(config.quantization.dtype != DType::I8, ExitCode::Usage,
            "the configuration has int8 matrices, which this layout does not hold: choose bf16 or fp8");
    const std::vector<Recipe> recipes = recipes_of(options.config_json, config);
    SafetensorsPlan plan;
    for (const Recipe& recipe : recipes) plan.tensors.push_back(recipe.tensor);
    plan.text_files = options.text_files;
    plan.text_files[options.config_name] = options.config_json;
    plan.file_bytes = options.file_bytes;

    SyntheticResult result{recipes.size(), 0, 0};
    const std::uint64_t total = tensor_bytes(plan);
    SafetensorsWriter writer(target, std::move(plan));
    result.files = writer.files();
    const std::function<void(std::uint64_t)> wrote = [&](std::uint64_t bytes) {
        progress(result.bytes += bytes, total);
    };
    Generation(recipes, options.seed, writer, wrote).run(options.threads);
    writer.finish();
    return result;
}

}  // namespace sluice
