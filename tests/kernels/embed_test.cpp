#include "kernel_suite.hpp"
#include "support/guarded.hpp"

#include <cmath>

namespace sluice::test {
namespace {

using Embed = KernelSuite<EmbedArgs>;

TEST_P(Embed, CopiesScaledRowsAndZeroesOthers) {
    for (const std::int64_t dim : {1, 7, 64, 1000}) {
        Noise noise(7);
        const std::vector<float> table = noise.vector(5 * dim);
        std::vector<bf16> half;
        for (const float v : table) half.push_back(to_bf16(v));
        const std::vector<std::int32_t> ids = {104, 100, 99, 105, 102, 0, 100};
        for (const DType dtype : {DType::F32, DType::BF16}) {
            Guarded<float> out(7, dim);
            EmbedArgs args{ids.data(), nullptr, dtype, 7, 100, 5, dim, 1.5F, out.data()};
            args.table = dtype == DType::F32 ? static_cast<const void*>(table.data()) : half.data();
            run(args, 2);
            out.expect_untouched_around();
            for (std::int64_t r = 0; r < 7; ++r) {
                const std::int64_t local = ids[static_cast<std::size_t>(r)] - 100;
                for (std::int64_t i = 0; i < dim; ++i) {
                    const auto at = static_cast<std::size_t>(local * dim + i);
                    const bool ours = local >= 0 && local < 5;
                    const float value =
                        !ours ? 0.0F : 1.5F * (dtype == DType::F32 ? table[at] : to_float(half[at]));
                    ASSERT_EQ(out.at(r, i), value);
                    if (!ours) {
                        ASSERT_FALSE(std::signbit(out.at(r, i)));
                    }
                }
            }
        }
    }
}

TEST_P(Embed, ThreadsDoNotMatter) {
    const std::int64_t rows = 64, dim = 1030, vocab = 50;
    Noise noise(9);
    const std::vector<float> table = noise.vector(vocab * dim);
    std::vector<std::int32_t> ids;
    for (int r = 0; r < rows; ++r) ids.push_back(static_cast<std::int32_t>(noise.below(vocab + 10)));
    std::vector<float> one(static_cast<std::size_t>(rows * dim), NAN), three = one;
    EmbedArgs args{ids.data(), table.data(), DType::F32, rows, 0, vocab, dim, 0.3F, one.data()};
    run(args, 1);
    args.out = three.data();
    run(args, 3);
    EXPECT_TRUE(same_bits(one, three));
}

TEST_P(Embed, TakesNoRows) { run({}); }

SLUICE_EVERY_KERNEL(Embed, EmbedArgs);

}  // namespace
}  // namespace sluice::test
