#include "backend/host_copy.hpp"

namespace sluice {

std::span<float> HostCopy::of(View view) {
    const auto elements = static_cast<std::size_t>(view.shape.elements());
    const std::size_t bytes = elements * sizeof(float);
    if (view.place == Place::Host) return {view.as<float>(), elements};
    if (copy_.view().data == nullptr || copy_.bytes() < bytes) {
        ops_.synchronize();
        copy_ = Tensor(ops_.staging(), DType::F32, {view.shape.elements()});
    }
    auto* values = copy_.view().as<float>();
    ops_.download(view.data, values, bytes);
    return {values, elements};
}

void HostCopy::give_back(View view) const {
    if (view.place == Place::Host) return;
    ops_.upload(copy_.view().data, view.data,
                static_cast<std::size_t>(view.shape.elements()) * sizeof(float));
}

}  // namespace sluice
