// The products of a layer's experts: the same bits as products of their own, where k is too short to be cut
// in parts.
#include "kernels/kernel_suite.hpp"
#include "kernels/product_fixture.hpp"

#include <numeric>

namespace sluice::test {
namespace {

// Experts with `counts` rows each, `spare` rows of room behind them, and tokens in no order.
struct Layer {
    Layer(Family family, const Kind& kind, std::int64_t outputs, std::int64_t inputs,
          const std::vector<std::int32_t>& counts, std::int32_t spare)
        : n(outputs), k(inputs), offsets(counts.size() + 1) {
        for (std::size_t e = 0; e < counts.size(); ++e)
            experts.push_back(pack_whole(family, TestWeight(kind, n, k, 10 + e)));
        std::partial_sum(counts.begin(), counts.end(), offsets.begin() + 1);
        room = offsets.back() + spare;
        for (std::int32_t i = 0; i < room; ++i) tokens.push_back(i * 7 % kTokens);
        Noise noise(5);
        x = noise.vector(std::max<std::int64_t>(room, kTokens) * (k + 3));
    }
    ExpertProductArgs args(bool gathered, Outputs outputs, Activation activation, float* out,
                           std::int64_t out_stride) const {
        ExpertProductArgs args;
        args.experts = experts;
        args.x = x.data();
        args.x_stride = k + 3;
        args.tokens = gathered ? tokens.data() : nullptr;
        args.offsets = offsets.data();
        args.most_rows = room;
        args.outputs = outputs;
        args.activation = activation;
        args.out = out;
        args.out_stride = out_stride;
        return args;
    }
    static constexpr std::int32_t kTokens = 23;

    std::int64_t n, k;
    std::vector<std::int32_t> offsets, tokens;
    std::int64_t room = 0;
    std::vector<Packed> experts;
    std::vector<float> x;
};

class ExpertProduct : public KernelSuite<ExpertProductArgs> {
protected:
    Family family() const { return at(GetParam()).family; }
    // By the same instruction, where products have entries of its name.
    const Kernel<ProductArgs>& product_kernel() const {
        for (const Kernel<ProductArgs>& kernel : sluice::kernels::kernels<ProductArgs>()) {
            if (kernel.name == at(GetParam()).name) return kernel;
        }
        return choose(family(), ProductArgs{}, this_machine());
    }

    // Row i of the products of expert e alone.
    std::vector<float> alone(const Layer& layer, const ExpertProductArgs& args, std::size_t e,
                             std::int64_t i) const {
        const std::int64_t width = args.outputs == Outputs::Gated ? layer.n / 2 : layer.n;
        std::vector<float> out(static_cast<std::size_t>(width));
        const std::int64_t from = args.tokens != nullptr ? args.tokens[i] : i;
        const std::vector<ProductJob> jobs = {{layer.experts[e].get(), args.x + from * args.x_stride,
                                               args.x_stride, nullptr, 1, out.data(), width, 0}};
        const ProductArgs product{jobs, args.outputs, args.activation};
        run_to_end(product_kernel(), product);
        return out;
    }
    void check(const Layer& layer, bool gathered, Outputs outputs,
               Activation activation = Activation::Silu) const {
        const std::int64_t width = outputs == Outputs::Gated ? layer.n / 2 : layer.n;
        const std::int64_t rows = layer.offsets.back();
        std::vector<float> with_room(static_cast<std::size_t>(layer.room * (width + 2)), 3);
        const ExpertProductArgs args = layer.args(gathered, outputs, activation, with_room.data(), width + 2);
        run(args, 2);
        for (std::size_t e = 0; e < layer.experts.size(); ++e) {
            for (std::int64_t i = layer.offsets[e]; i < layer.offsets[e + 1]; ++i) {
                const float* row = with_room.data() + i * (width + 2);
                ASSERT_TRUE(same_bits(std::vector<float>(row, row + width), alone(layer, args, e, i)))
                    << "row " << i << " of expert " << e << ", gathered " << gathered;
                ASSERT_EQ(row[width], 3);
                ASSERT_EQ(row[width + 1], 3);
            }
        }
        for (auto i = static_cast<std::size_t>(rows * (width + 2)); i < with_room.size(); ++i)
            ASSERT_EQ(with_room[i], 3) << "behind the rows";
    }
};

TEST_P(ExpertProduct, IsTheProductOfEachExpert) {
    for (const Kind& kind : all_kinds()) {
        SCOPED_TRACE(kind.name);
        const Layer layer(family(), kind, 34, 150, {0, 3, 1, 0, 0, 11, 1, 0}, 5);
        check(layer, true, Outputs::Plain);
        check(layer, false, Outputs::Plain);
        check(layer, true, Outputs::Gated, Activation::GeluTanh);
        if (HasFatalFailure()) return;
    }
}

// More experts than lanes of a warp, of which few have rows; and one with many.
TEST_P(ExpertProduct, TakesAnyNumberOfExpertsAndRows) {
    const Kind& kind = all_kinds()[8];  // fp8, both operands
    for (const std::size_t count : {1U, 31U, 33U, 70U, 300U}) {
        for (const std::int32_t most : {1, 2, 40, 150}) {
            SCOPED_TRACE(std::to_string(count) + " experts, " + std::to_string(most) + " rows");
            Noise noise(count);
            std::vector<std::int32_t> counts(count);
            for (int i = 0; i < 3; ++i)
                counts[static_cast<std::size_t>(noise.below(static_cast<std::int64_t>(count)))] =
                    static_cast<std::int32_t>(1 + noise.below(most));
            counts.back() = most;
            check(Layer(family(), kind, 18, 130, counts, static_cast<std::int32_t>(noise.below(3))), true,
                  Outputs::Gated);
            if (HasFatalFailure()) return;
        }
    }
}

TEST_P(ExpertProduct, NoRowsDoNothing) {
    const Kind& kind = all_kinds().front();
    check(Layer(family(), kind, 18, 130, {0, 0, 0}, 9), true, Outputs::Plain);
    check(Layer(family(), kind, 18, 130, {0, 0, 0}, 0), false, Outputs::Gated);
    run({});
}

SLUICE_EVERY_KERNEL(ExpertProduct, ExpertProductArgs);

}  // namespace
}  // namespace sluice::test
