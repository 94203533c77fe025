// Any text as a model's configuration. Whatever is accepted has a catalog whose tensors can be counted and
// cut.
#include "fuzz.hpp"
#include "model/catalog.hpp"

#include <cmath>

namespace sluice::fuzz {
namespace {

void check_slices(const TensorSpec& tensor, int slices) {
    if (tensor.cut.along == Along::Common) return;
    std::int64_t at = 0;
    for (int slice = 0; slice < slices; ++slice) {
        const Range range = slice_range(tensor, slice, slices);
        promise(range.size() > 0 || tensor.cut.along == Along::Expert, "{}: slice {} is empty", tensor.name,
                slice);
        promise(range.size() == 0 || tensor.cut.along == Along::Expert || range.begin == at,
                "{}: slice {} begins at {}, not {}", tensor.name, slice, range.begin, at);
        at += range.size();
    }
    promise(at == tensor.full[tensor.cut.axis], "{}: slices end at {}", tensor.name, at);
}

void check_config(const ModelConfig& config) {
    promise(!config.layers.empty(), "no layers");
    for (const float number : {config.norm_eps, config.attention_scale, config.rope.theta,
                               config.rope.amplitude, config.rope.factor}) {
        promise(std::isfinite(number) && number > 0, "a factor that is none: {}", number);
    }
    const int slices = default_slices(config);
    for (const TensorSpec& tensor : tensor_catalog(config)) {
        std::int64_t bytes = 4;
        for (int axis = 0; axis < tensor.full.rank(); ++axis) {
            promise(tensor.full[axis] > 0 && !__builtin_mul_overflow(bytes, tensor.full[axis], &bytes),
                    "{} has {} of axis {}", tensor.name, tensor.full[axis], axis);
        }
        check_slices(tensor, slices);
    }
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    fuzz::accepts(ExitCode::Checkpoint,
                  [&] { fuzz::check_config(parse_config(fuzz::text_of(data, size), "config.json")); });
    return 0;
}
