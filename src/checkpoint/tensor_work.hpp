// One tensor's way from a source to a target.
#pragma once

#include "checkpoint/conversion_plan.hpp"
#include "checkpoint/extent_writer.hpp"
#include "checkpoint/journal.hpp"
#include "checkpoint/output_files.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace sluice {

// The most memory that converting any one of the plan's tensors takes.
std::uint64_t work_bytes(const ConversionPlan& plan, const CheckpointSource& source);

// A thread's own, with its buffers. What it is made from must outlive it.
class TensorWork {
public:
    TensorWork(const ConversionPlan& plan, const CheckpointSource& source, const OutputFiles& files);

    // Reads, casts and writes a tensor. `holes`: over bytes that are zero, it need not write zeros.
    FinishedTensor convert(std::size_t tensor, bool holes, const std::function<void(std::uint64_t)>& wrote);

    // Whether the files hold what was noted of a tensor.
    bool holds(const FinishedTensor& noted);

private:
    struct Part {
        PlacedPart place;
        ExtentWriter values;
        Checksum sum{};
    };

    std::vector<Part> begin_parts(std::size_t tensor, bool holes);
    void write_rows(std::vector<Part>& parts, const Range& rows, std::int64_t cols, std::size_t size,
                    const std::byte* values);
    std::uint64_t checksum(const Extent& extent);

    const ConversionPlan& plan_;
    const CheckpointSource& source_;
    const OutputFiles& files_;
    std::vector<std::byte> read_, cast_;
    WriteBuffers buffers_;
};

}  // namespace sluice
