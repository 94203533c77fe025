#include "checkpoint/synthetic.hpp"

#include "checkpoint/foreign_names.hpp"
#include "checkpoint/in_parallel.hpp"
#include "checkpoint/output_files.hpp"
#include "checkpoint/safetensors_target.hpp"
#include "checkpoint/staging.hpp"
#include "checkpoint/synthetic_values.hpp"
#include "core/error.hpp"
#include "model/config.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>
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

std::vector<TensorSpec> all_tensors(const ModelConfig& config) {
    std::vector<TensorSpec> tensors = tensor_catalog(config);
    for (TensorSpec& spec : prediction_catalog(config)) tensors.push_back(std::move(spec));
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
    return {{scale_name(matrix.tensor.name), DType::F32, scale_grid(spec.full, block_of(spec, quantization))},
            {mean, 0.5F * mean, quantization.power_of_two_scales}};
}

std::vector<Recipe> recipes_of(const ModelConfig& config) {
    const NameLayout& layout = usual_layout(config);
    std::vector<Recipe> recipes;
    for (const TensorSpec& spec : all_tensors(config)) {
        Recipe recipe{{layout.name_of(spec), DType::BF16, spec.full}, distribution_of(spec, config)};
        const bool quantized = spec.quantizable && config.quantization.on();
        if (spec.name.ends_with("router_bias")) recipe.tensor.dtype = DType::F32;
        if (quantized) recipe.tensor.dtype = DType::F8E4M3;
        recipes.push_back(recipe);
        if (quantized) recipes.push_back(scales_of(spec, recipe, config.quantization));
    }
    return recipes;
}

// The tensors' values cut into pieces that are numbered through.
class Pieces {
public:
    struct Piece {
        std::size_t recipe = 0;
        std::uint64_t first = 0, elements = 0;
    };

    explicit Pieces(const std::vector<Recipe>& recipes) {
        for (const Recipe& recipe : recipes) {
            elements_.push_back(static_cast<std::uint64_t>(recipe.tensor.shape.elements()));
            const std::uint64_t pieces = (elements_.back() + kPieceElements - 1) / kPieceElements;
            begins_.push_back(begins_.back() + pieces);
        }
    }
    std::size_t count() const { return begins_.back(); }
    Piece operator[](std::size_t index) const {
        const auto next = std::ranges::upper_bound(begins_, index);
        const auto recipe = static_cast<std::size_t>(next - begins_.begin()) - 1;
        const std::uint64_t first = (index - begins_[recipe]) * kPieceElements;
        return {recipe, first, std::min(kPieceElements, elements_[recipe] - first)};
    }

private:
    std::vector<std::uint64_t> elements_;   // of each recipe
    std::vector<std::uint64_t> begins_{0};  // its first piece; behind the last, their number
};

// Makes and writes all values.
void generate(const std::vector<Recipe>& recipes, const SyntheticOptions& options,
              const CheckpointTarget& target, const OutputFiles& files,
              const std::function<void(std::uint64_t)>& wrote) {
    const Pieces pieces(recipes);
    std::vector<std::vector<std::byte>> buffers(static_cast<std::size_t>(options.threads));
    std::mutex mutex;  // of the progress
    in_parallel(pieces.count(), options.threads, [&](std::size_t index, std::size_t thread) {
        const Pieces::Piece piece = pieces[index];
        const Recipe& recipe = recipes[piece.recipe];
        const std::size_t item = size_of(recipe.tensor.dtype);
        std::vector<std::byte>& bytes = buffers[thread];
        bytes.resize(piece.elements * item);
        make_values(value_key(options.seed, recipe.tensor.name), recipe.values, recipe.tensor.dtype,
                    piece.first, bytes);
        files.write(target.parts(piece.recipe).front().values, piece.first * item, bytes);
        const std::lock_guard lock(mutex);
        wrote(bytes.size());
    });
}

}  // namespace

SyntheticResult write_synthetic_checkpoint(
    const std::filesystem::path& target, const SyntheticOptions& options,
    const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    const ModelConfig config = parse_config(options.config_json, "configuration");
    require(config.quantization.dtype != DType::I8, ExitCode::Usage,
            "the configuration has int8 matrices, which this layout does not hold: choose bf16 or fp8");
    const std::vector<Recipe> recipes = recipes_of(config);
    SafetensorsPlan plan;
    for (const Recipe& recipe : recipes) plan.tensors.push_back(recipe.tensor);
    plan.text_files = options.text_files;
    plan.text_files[options.config_name] = options.config_json;
    plan.file_bytes = options.file_bytes;

    const std::uint64_t total = tensor_bytes(plan);
    const auto layout = safetensors_target(std::move(plan), {});
    StagedFolder folder(target, Leftover::Remove);
    if (!options.holes) folder.require_space(layout->bytes());
    layout->create(folder.path());
    layout->open(folder.path());
    const OutputFiles files(folder.path(), layout->files());
    SyntheticResult result{recipes.size(), layout->files().size(), options.holes ? total : 0};
    const std::function<void(std::uint64_t)> wrote = [&](std::uint64_t bytes) {
        progress(result.bytes += bytes, total);
    };
    if (!options.holes) generate(recipes, options, *layout, files, wrote);
    folder.commit();
    return result;
}

}  // namespace sluice
