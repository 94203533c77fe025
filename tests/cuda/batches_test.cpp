// How products become batches: nothing of it shows in their bits.
#include "kernels/cuda/device.hpp"
#include "kernels/cuda/product_batches.hpp"
#include "kernels/cuda/run.hpp"
#include "kernels/kernel_suite.hpp"
#include "kernels/product_fixture.hpp"
#include "kernels/workspace.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <span>
#include <vector>

namespace sluice::test {
namespace {

using kernels::cuda::Batch;
using kernels::cuda::Instruction;

// A weight of two segments that knows its sizes only.
Packed sizes_of(std::int64_t rows, std::int64_t cols_of_segment) {
    const TestWeight weight(all_kinds()[0], 1, 1, 1);
    std::vector<WeightPart> parts(2, WeightPart{weight.whole(), 0, 0});
    for (WeightPart& part : parts) {
        part.matrix.values = nullptr;
        part.matrix.rows = rows;
        part.matrix.cols = cols_of_segment;
    }
    parts[1].segment = 1;
    PackArgs args;
    args.parts = parts;
    return packed_sizes(Family::Cuda, args);
}

ProductJob job_of(const Packed& weight, std::int64_t rows) {
    ProductJob job;
    job.weight = weight.get();
    job.rows = rows;
    return job;
}

bool go_together(const Packed& weight, std::int64_t rows) {
    const ProductJob job = job_of(weight, rows);
    bool together = false;
    kernels::cuda::for_each_batch(ProductArgs{{&job, 1}},
                                  [&](const Batch& batch) { together = batch.together; });
    return together;
}

TEST(CudaBatches, PartsGoTogetherWhereTilesAreMany) {
    const Packed weight = sizes_of(1100, 4096);  // 9 large tiles of outputs in each of 2 segments
    EXPECT_FALSE(go_together(weight, 1));
    EXPECT_FALSE(go_together(weight, 64));
    EXPECT_FALSE(go_together(weight, 3 * 128));
    EXPECT_TRUE(go_together(weight, 3 * 128 + 1));
    EXPECT_FALSE(go_together(sizes_of(1100, 256), 1024)) << "k is too short for parts";
}

TEST(CudaBatches, FewerRowsNeedNoMoreWorkspaceThanWasPlanned) {
    for (const std::int64_t outputs : {100, 1100, 5000}) {
        const Packed weight = sizes_of(outputs, 4096);
        for (const Outputs wanted : {Outputs::Plain, Outputs::SummedSegments, Outputs::Gated}) {
            std::size_t before = 0;
            for (const std::int64_t rows : {1, 8, 60, 64, 65, 128, 129, 384, 385, 512, 640, 1024, 4096}) {
                const ProductJob job = job_of(weight, rows);
                const std::size_t planned = most_workspace(Family::Cuda, ProductArgs{{&job, 1}, wanted});
                EXPECT_GE(planned, before) << outputs << " outputs, " << rows << " rows";
                kernels::cuda::for_each_batch(ProductArgs{{&job, 1}, wanted}, [&](const Batch& batch) {
                    EXPECT_GE(planned, kernels::cuda::scratch_bytes(batch));
                });
                before = planned;
            }
        }
    }
    EXPECT_EQ(most_workspace(Family::Cpu, ProductArgs{}), 0U);
}

TEST(CudaBatches, AttentionNeedsNoMoreWorkspaceThanWasPlanned) {
    AttentionArgs most;
    most.rows = 512;
    most.most_context = 40'000;
    for (const auto& [heads, kv_heads, width] :
         {std::array{16, 1, 512}, {128, 1, 512}, {8, 8, 64}, {48, 8, 128}}) {
        most.heads = heads;
        most.kv_heads = kv_heads;
        most.value_dim = width;
        const std::size_t planned = most_workspace(Family::Cuda, most);
        EXPECT_GT(planned, 0U);
        for (const int rows : {1, 3, 17, 64, 100, 512}) {
            for (const int sequences : {1, 2, 16, 63, 512}) {
                if (sequences > rows) continue;
                for (const int context : {64, 600, 5000, 40'000}) {
                    AttentionArgs args = most;
                    args.rows = rows;
                    args.most_context = context;
                    const std::vector<SequenceRows> some(static_cast<std::size_t>(sequences));
                    args.sequences = some;
                    EXPECT_LE(kernels::cuda::attention_workspace(args), planned)
                        << rows << " rows of " << sequences << " sequences, context " << context;
                }
            }
        }
    }
}

TEST(CudaBatches, ExpertsOfOtherRanksTakeTheirShareOfTheRows) {
    const std::vector<Packed> experts(8, sizes_of(64, 64));
    ExpertProductArgs args;
    args.experts = experts;
    args.most_rows = 512;
    const auto likely = [&] {
        int rows = 0;
        kernels::cuda::for_each_batch(args, [&](const Batch& batch) { rows = batch.likely_rows; });
        return rows;
    };
    EXPECT_EQ(likely(), 2 * 64);
    args.spread_over = 256;
    EXPECT_EQ(likely(), 2 * 2);
}

// Outputs of rows of 150 that are NaN.
std::set<std::size_t> spoilt(std::span<const float> out) {
    std::set<std::size_t> columns;
    for (std::size_t i = 0; i < out.size(); ++i)
        if (std::isnan(out[i])) columns.insert(i % 150);
    return columns;
}

// One block that adds the parts of k, against a block for each and their sums added afterwards. Each segment
// has a NaN, where codes have one, in a later part than the first.
TEST(CudaProductParts, HaveTheSameBitsTogetherAndApart) {
    if (!kernels::cuda::available()) GTEST_SKIP() << "this machine has no GPU";
    constexpr std::int64_t kRows = 70, kOutputs = 150;
    // bf16, fp8 by rows of bf16 and of fp8 (parts of 7 and 8 stages, and of 8 and 8), int8 in blocks.
    constexpr std::pair<std::size_t, std::int64_t> kCases[] = {{0, 2100}, {6, 2100}, {8, 1900}, {15, 2100}};
    for (const auto& [which, cols] : kCases) {
        const Kind& kind = all_kinds()[which];
        SCOPED_TRACE(kind.name + ", " + std::to_string(cols));
        TestWeight weight(kind, kOutputs, 2 * cols, 3);
        const bool nan = kind.dtype == DType::F8E4M3;
        if (nan) {
            weight.set_code(40, cols - 3, 0x7f);
            weight.set_code(17, 2 * cols - 5, 0xff);
        }
        const Packed packed =
            pack(Family::Cuda,
                 {{weight.slice(0, kOutputs, 0, cols), 0, 0}, {weight.slice(0, kOutputs, cols, cols), 0, 1}},
                 kind);
        std::vector<float> x(static_cast<std::size_t>(kRows * packed->cols));
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = noise(4, i);
        const auto outputs = [&](Outputs wanted, Instruction by, bool together) {
            const std::size_t segments = wanted == Outputs::Plain ? 2 : 1;
            std::vector<float> out(segments * kRows * kOutputs);
            const ProductJob job{packed.get(), x.data(),   packed->cols, nullptr,
                                 kRows,        out.data(), kOutputs,     kRows * kOutputs};
            kernels::cuda::for_each_batch(ProductArgs{{&job, 1}, wanted}, [&](Batch& batch) {
                EXPECT_GT(batch.splits, 1);
                batch.together = together;
                std::vector<std::byte> workspace(kernels::cuda::scratch_bytes(batch));
                const Execution execution{1, nullptr, workspace.data(), workspace.size()};
                kernels::cuda::run_batch(batch, execution, by);
                kernels::cuda::synchronize(execution);
            });
            return out;
        };
        for (const Instruction by : {Instruction::MmaSync, Instruction::Wgmma}) {
            if (by == Instruction::Wgmma && !kernels::cuda::has_wgmma()) continue;
            for (const bool together : {true, false}) {
                const std::vector<float> plain = outputs(Outputs::Plain, by, together);
                const std::span<const float> all = plain, first = all.first(all.size() / 2);
                using Columns = std::set<std::size_t>;
                EXPECT_EQ(spoilt(first), nan ? Columns{40} : Columns{});
                EXPECT_EQ(spoilt(all.last(first.size())), nan ? Columns{17} : Columns{});
                EXPECT_EQ(spoilt(outputs(Outputs::SummedSegments, by, together)),
                          (nan ? Columns{17, 40} : Columns{}));
            }
            for (const Outputs wanted : {Outputs::Plain, Outputs::SummedSegments})
                EXPECT_TRUE(same_bits(outputs(wanted, by, true), outputs(wanted, by, false)));
        }
    }
}

// As many weights as have tiles of 256 rows for all of a GPU, against one of them, which has tiles of 128.
TEST(CudaProductTiles, OfManyRowsHaveTheBitsOfFewer) {
    if (!kernels::cuda::has_wgmma()) GTEST_SKIP() << "no GPU with wgmma";
    constexpr std::int64_t kRows = 130, kOutputs = 70, kCols = 150;
    constexpr std::size_t kWeights = 2 * kernels::cuda::kTilesForTogether;
    const Packed packed = pack_whole(Family::Cuda, TestWeight(all_kinds()[0], kOutputs, kCols, 3));
    std::vector<float> x(static_cast<std::size_t>(kRows * kCols));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = noise(5, i);
    const auto outputs = [&](std::size_t weights) {
        std::vector<float> out(weights * kRows * kOutputs);
        std::vector<ProductJob> jobs;
        for (std::size_t w = 0; w < weights; ++w)
            jobs.push_back({packed.get(), x.data(), kCols, nullptr, kRows, out.data() + w * kRows * kOutputs,
                            kOutputs, 0});
        kernels::cuda::for_each_batch(ProductArgs{jobs}, [&](Batch& batch) {
            EXPECT_EQ(batch.weights, static_cast<int>(weights));
            std::vector<std::byte> workspace(kernels::cuda::scratch_bytes(batch));
            const Execution execution{1, nullptr, workspace.data(), workspace.size()};
            kernels::cuda::run_batch(batch, execution, Instruction::Wgmma);
            kernels::cuda::synchronize(execution);
        });
        return out;
    };
    const std::vector<float> one = outputs(1), all = outputs(kWeights);
    for (std::size_t w = 0; w < kWeights; ++w) {
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(w * one.size());
        ASSERT_EQ(std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(one.size())), one) << w;
    }
}

}  // namespace
}  // namespace sluice::test
