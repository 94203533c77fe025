// A rank reads the common tensors and its own slices, each once, and nothing else.
#include "checkpoint/sluice_checkpoint.hpp"
#include "comm/communicator.hpp"
#include "model/catalog.hpp"
#include "support/small_model.hpp"

#include <gtest/gtest.h>

#include <mutex>
#include <set>

namespace sluice::test {
namespace {

constexpr std::int64_t kBlock = 128;

std::int64_t blocks_touched(Range range) {
    return range.size() == 0 ? 0 : (range.end - 1) / kBlock - range.begin / kBlock + 1;
}

// What a slice holds of a tensor, by the catalog and the format: a byte a value and 4 a block where
// quantised, 4 bytes for selection biases, else 2.
std::uint64_t stored_bytes(const TensorSpec& tensor, bool quantised, int slice, int slices) {
    const Shape shape = slice_shape(tensor, slice, slices);
    std::int64_t bytes = shape.elements() * (tensor.name.ends_with("router_bias") ? 4 : 2);
    if (quantised && tensor.quantizable && shape.elements() > 0) {
        Range ranges[2] = {{0, tensor.full[0]}, {0, tensor.full[1]}};
        ranges[tensor.cut.axis] = slice_range(tensor, slice, slices);
        bytes = shape.elements() + 4 * blocks_touched(ranges[0]) * blocks_touched(ranges[1]);
    }
    return static_cast<std::uint64_t>(bytes);
}

std::uint64_t share_of(const ModelConfig& config, int rank, int ranks, int slices) {
    const bool quantised = config.quantization.dtype == DType::F8E4M3;
    std::uint64_t bytes = 0;
    for (const TensorSpec& tensor : tensor_catalog(config)) {
        if (tensor.cut.along == Along::Common) {
            bytes += stored_bytes(tensor, quantised, 0, slices);
            continue;
        }
        for (int slice = rank * slices / ranks; slice < (rank + 1) * slices / ranks; ++slice)
            bytes += stored_bytes(tensor, quantised, slice, slices);
    }
    return bytes;
}

struct Case {
    const char* checkpoint;
    int slices;
};

class OwnSlices : public testing::TestWithParam<Case> {};

TEST_P(OwnSlices, AreAllThatARankReads) {
    std::set<std::uint64_t> shares;
    for (const int ranks : {1, 2, 4, 8}) {
        if (ranks > GetParam().slices) continue;
        std::mutex lock;
        run_on_threads(ranks, [&](Communicator& world) {
            SmallModel model(GetParam().checkpoint, {}, world);
            const std::lock_guard guard(lock);
            ASSERT_EQ(model.checkpoint().slices(), GetParam().slices);
            const std::uint64_t share = share_of(model.config(), world.rank(), ranks, GetParam().slices);
            EXPECT_EQ(model.checkpoint().bytes_read(), share) << "rank " << world.rank() << " of " << ranks;
            if (world.rank() == 0) shares.insert(share);
        });
    }
    if (GetParam().slices > 1) {
        EXPECT_GT(shares.size(), 2U) << "more ranks must each read less";
    }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, OwnSlices,
                         testing::Values(Case{"v3", 4}, Case{"v3-1-slice", 1}, Case{"v2", 4},
                                         Case{"wide", 8}),
                         [](const auto& test) {
                             std::string name = test.param.checkpoint;
                             for (char& c : name) c = c == '-' ? '_' : c;
                             return name;
                         });

}  // namespace
}  // namespace sluice::test
