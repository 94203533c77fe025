#include "model/embedding_table.hpp"

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

constexpr std::int64_t kRoundedAtOnce = 1 << 20;
constexpr auto kElement = static_cast<std::int64_t>(sizeof(bf16));

void upload_rounded(const TensorSlice& slice, const Ops& ops, std::byte* to) {
    const kernels::HostMatrix all{slice.values.data(), slice.dtype, 1, slice.shape.elements()};
    std::vector<bf16> some;
    for (std::int64_t first = 0; first < all.cols; first += kRoundedAtOnce) {
        some.resize(static_cast<std::size_t>(std::min(kRoundedAtOnce, all.cols - first)));
        for (std::size_t i = 0; i < some.size(); ++i)
            some[i] = to_bf16(all.at(0, first + static_cast<std::int64_t>(i)));
        ops.upload(some.data(), to + first * kElement, some.size() * sizeof(bf16));
        ops.synchronize();
    }
}

}  // namespace

Tensor embedding_table(std::span<const TensorSlice> slices, const Ops& ops) {
    std::int64_t rows = 0;
    for (const TensorSlice& slice : slices) rows += slice.shape[0];
    Tensor table(ops.memory(), DType::BF16, {rows, slices.front().shape[1]});
    auto* to = static_cast<std::byte*>(table.view().data);
    for (const TensorSlice& slice : slices) {
        if (slice.dtype == DType::BF16)
            ops.upload(slice.values.data(), to, slice.values.size());
        else
            upload_rounded(slice, ops, to);
        to += slice.shape.elements() * kElement;
    }
    ops.synchronize();
    return table;
}

}  // namespace sluice
