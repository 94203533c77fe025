// Any bytes as a pickled tensor. One that is accepted has its arrays inside the file, of the sizes it says.
#include "checkpoint/grok_pickle.hpp"
#include "fuzz.hpp"

#include <span>

namespace sluice::fuzz {
namespace {

void check_array(const PickledArray& array, std::size_t size) {
    std::size_t bytes = size_of(array.dtype);
    promise(!array.dims.empty() && array.dims.size() <= 4, "{} dimensions", array.dims.size());
    for (const std::int64_t dim : array.dims) {
        promise(dim >= 1 && !__builtin_mul_overflow(bytes, static_cast<std::size_t>(dim), &bytes),
                "a dimension of {}", dim);
    }
    promise(array.begin <= array.end && array.end <= size, "bytes {} to {} of {}", array.begin, array.end,
            size);
    promise(array.end - array.begin == bytes, "{} in {} bytes", array.shape_text(), array.end - array.begin);
}

void check_tensor(const PickledTensor& tensor, std::size_t size) {
    check_array(tensor.values, size);
    promise(tensor.scales.has_value() == (tensor.values.dtype == DType::I8),
            "integers without scales, or the reverse");
    if (!tensor.scales) return;
    check_array(*tensor.scales, size);
    promise(tensor.scales->begin >= tensor.values.end || tensor.scales->end <= tensor.values.begin,
            "values and scales overlap");
    promise(tensor.scales->dims.size() == tensor.values.dims.size(), "scales of another rank");
    for (std::size_t i = 0; i < tensor.values.dims.size(); ++i)
        promise(tensor.values.dims[i] % tensor.scales->dims[i] == 0, "{} scales for {} values",
                tensor.scales->dims[i], tensor.values.dims[i]);
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    fuzz::accepts(ExitCode::Checkpoint, [&] {
        fuzz::check_tensor(parse_pickled_tensor(std::as_bytes(std::span(data, size)), "tensor"), size);
    });
    return 0;
}
