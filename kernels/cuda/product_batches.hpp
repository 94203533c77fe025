// Makes batches of jobs, and tells what scratch they need. Needs no device.
#pragma once

#include "core/error.hpp"
#include "kernels/cuda/product_batch.hpp"

#include <algorithm>
#include <cstddef>

namespace sluice::kernels::cuda {

inline const CudaWeight& weight_of(const PackedWeight& weight) {
    return static_cast<const CudaWeight&>(weight);
}

inline std::size_t converted_bytes(const Batch& batch) {
    if (batch.shape.products == Products::F32) return 0;
    return aligned(static_cast<std::size_t>(batch.all_rows() * x_row_bytes(batch.shape, batch.coded_rows)));
}

inline std::size_t scratch_bytes(const Batch& batch) {
    const std::int64_t sums =
        batch.sums_are_outputs() ? 0 : std::int64_t{batch.pieces()} * batch.all_rows() * batch.shape.rows;
    return converted_bytes(batch) + aligned(static_cast<std::size_t>(sums) * sizeof(float));
}

// Large tiles of so many rows.
inline int large_tiles(const Batch& batch, int rows) {
    const auto tiles = [](int length) { return (length + kLargeTile - 1) / kLargeTile; };
    return tiles(rows) * tiles(batch.shape.rows) * batch.shape.segments * batch.weights;
}

inline bool parts_go_together(const Batch& batch) {
    return batch.splits > 1 && batch.rows > kMostRowsOfSmallTiles &&
           large_tiles(batch, batch.rows) >= kTilesForTogether;
}

// Of a batch with as many rows, or fewer: then parts may not go together.
inline std::size_t most_scratch_bytes(const Batch& batch) {
    if (!batch.together) return scratch_bytes(batch);
    Batch fewer = batch;
    fewer.together = false;
    fewer.rows = (kTilesForTogether - 1) / large_tiles(batch, 1) * kLargeTile;
    fewer.rows = std::min(batch.rows, std::max(fewer.rows, kMostRowsOfSmallTiles));
    return std::max(scratch_bytes(batch), scratch_bytes(fewer));
}

inline Batch batch_of(const ProductArgs& args, const ProductJob& job) {
    Batch batch;
    const CudaWeight& weight = weight_of(*job.weight);
    batch.shape = weight.shape;
    batch.splits = weight.shape.splits;
    batch.outputs = args.outputs;
    batch.activation = args.activation;
    batch.weights = 1;
    batch.rows = batch.likely_rows = static_cast<int>(job.rows);
    batch.x = job.x;
    batch.gather = job.gather;
    batch.x_stride = job.x_stride;
    batch.out = job.out;
    batch.out_stride = job.out_stride;
    batch.out_segment_stride = job.segment_stride;
    batch.marked = weight.marked;
    batch.weight[0] = weight.memory.get();
    return batch;
}

// Whether the job goes on as the batch does: heads do, each beside the one before.
inline bool takes(Batch& batch, const ProductJob& job) {
    const bool alike = batch.weights < kMostWeights && job.rows == batch.rows && job.gather == batch.gather &&
                       job.x_stride == batch.x_stride && job.out_stride == batch.out_stride &&
                       job.segment_stride == batch.out_segment_stride &&
                       weight_of(*job.weight).shape == batch.shape;
    if (!alike) return false;
    if (batch.weights == 1) {
        batch.x_weight_stride = job.x - batch.x;
        batch.out_weight_stride = job.out - batch.out;
    }
    if (job.x - batch.x != batch.weights * batch.x_weight_stride ||
        job.out - batch.out != batch.weights * batch.out_weight_stride)
        return false;
    batch.marked |= weight_of(*job.weight).marked;
    batch.weight[batch.weights++] = weight_of(*job.weight).memory.get();
    return true;
}

template <class Take>
void for_each_batch(const ProductArgs& args, Take take) {
    for (std::size_t i = 0; i < args.jobs.size();) {
        const ProductJob& job = args.jobs[i++];
        if (job.rows == 0) continue;
        Batch batch = batch_of(args, job);
        while (i < args.jobs.size() && takes(batch, args.jobs[i])) ++i;
        batch.together = parts_go_together(batch);
        take(batch);
    }
}

// The rows that a tile should hold: twice what falls to an expert on average, for they fall unevenly, and a
// second tile reads the weight again.
inline int likely_rows(const ExpertProductArgs& args) {
    const auto experts = std::max(args.spread_over, static_cast<std::int64_t>(args.experts.size()));
    return static_cast<int>(2 * ((args.most_rows + experts - 1) / experts));
}

// At most kMostWeights experts at a time.
template <class Take>
void for_each_batch(const ExpertProductArgs& args, Take take) {
    if (args.most_rows == 0) return;
    for (std::size_t first = 0; first < args.experts.size(); first += kMostWeights) {
        const auto experts =
            args.experts.subspan(first, std::min<std::size_t>(args.experts.size() - first, kMostWeights));
        Batch batch;
        batch.shape = weight_of(*experts.front()).shape;
        batch.outputs = args.outputs;
        batch.activation = args.activation;
        batch.weights = static_cast<int>(experts.size());
        batch.rows = static_cast<int>(args.most_rows);
        batch.likely_rows = likely_rows(args);
        batch.offsets = args.offsets + first;
        batch.x = args.x;
        batch.gather = args.tokens;
        batch.x_stride = args.x_stride;
        batch.out = args.out;
        batch.out_stride = args.out_stride;
        for (std::size_t e = 0; e < experts.size(); ++e) {
            const CudaWeight& weight = weight_of(*experts[e]);
            expect(weight.shape == batch.shape, "experts of unlike shapes");
            batch.marked |= weight.marked;
            batch.weight[e] = weight.memory.get();
        }
        take(batch);
    }
}

}  // namespace sluice::kernels::cuda
