#include "checkpoint/sluice_plan.hpp"

namespace sluice {

std::uint64_t tensor_bytes(const SluicePlan& plan) {
    std::uint64_t bytes = 0;
    for (const PlannedTensor& tensor : plan.tensors) {
        for (const int slice : slices_of(tensor.spec, plan.slices))
            bytes += slice_part(tensor.spec, slice, plan.slices, tensor.block).bytes(tensor.dtype);
    }
    return bytes;
}

}  // namespace sluice
