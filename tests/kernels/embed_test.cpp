#include "embed_cases.hpp"
#include "kernel_suite.hpp"

#include <cmath>

namespace sluice::test {
namespace {

using Embed = KernelSuite<EmbedArgs>;

TEST_P(Embed, CopiesScaledRowsAndZeroesOthers) {
    for (const EmbedCase& c : checked(embed_cases())) {
        EmbedCall call(c);
        run(call.args(), 2);
        call.out.expect_untouched_around();
        for (std::int64_t r = 0; r < c.rows; ++r) {
            const std::int64_t local = call.ids[static_cast<std::size_t>(r)] - 100;
            const bool ours = local >= 0 && local < c.vocabulary;
            for (std::int64_t i = 0; i < c.dim; ++i) {
                const auto at = static_cast<std::size_t>(local * c.dim + i);
                const float entry = !ours                   ? 0.0F
                                    : c.dtype == DType::F32 ? call.table[at]
                                                            : to_float(call.half[at]);
                ASSERT_EQ(call.out.at(r, i), 1.5F * entry) << c.name();
                if (!ours) {
                    ASSERT_FALSE(std::signbit(call.out.at(r, i)));
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
