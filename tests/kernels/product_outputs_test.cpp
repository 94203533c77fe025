// What a product makes of its outputs, against the plain outputs of the same implementation: the same bits as
// adding the segments and gating in operations of their own.
#include "kernels/kernel_suite.hpp"
#include "kernels/product_fixture.hpp"
#include "support/guarded.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace sluice::test {
namespace {

const Kernel<ProductArgs>& product_named(std::string_view name) {
    for (const Kernel<ProductArgs>& kernel : sluice::kernels::kernels<ProductArgs>())
        if (kernel.name == name) return kernel;
    throw std::logic_error("no such product");
}

// The gate of the instruction set whose products these are: bfloat16 products have float32 gates, and a GPU
// has one.
const Kernel<GateArgs>& gate_of(std::string_view product) {
    const std::string_view set = product.substr(0, std::min(product.find("_bf16"), product.find(".wgmma")));
    for (const Kernel<GateArgs>& kernel : sluice::kernels::kernels<GateArgs>())
        if (kernel.name == set) return kernel;
    throw std::logic_error("no such gate");
}

class ProductOutputs : public ::testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        Machine machine = this_machine();
        machine.slow_bf16_dot = false;
        if (!kernel().fits({}, machine)) GTEST_SKIP() << GetParam() << ": not on this processor";
    }
    const Kernel<ProductArgs>& kernel() const { return product_named(GetParam()); }

    // Strided x; rows of `width` outputs, `runs` times as many rows where they are a segment's each.
    std::vector<float> outputs(const Packed& weight, std::int64_t rows, std::int64_t width, Outputs outputs,
                               Activation activation = Activation::Silu, int threads = 1) const {
        const std::int64_t x_stride = weight->cols + 3;
        std::vector<float> x(static_cast<std::size_t>(rows * x_stride));
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = noise(4, i);
        const int runs = outputs == Outputs::Plain ? weight->segments : 1;
        Guarded<float> out(runs * rows, width, width + 1);
        const ProductJob job{weight.get(), x.data(),   x_stride,  nullptr,
                             rows,         out.data(), width + 1, rows * (width + 1)};
        run_to_end(kernel(), {{&job, 1}, outputs, activation}, threads);
        out.expect_untouched_around();
        std::vector<float> values;
        for (std::int64_t r = 0; r < runs * rows; ++r)
            for (std::int64_t i = 0; i < width; ++i) values.push_back(out.at(r, i));
        return values;
    }
};

void expect_same_bits(const std::vector<float>& got, const std::vector<float>& expected) {
    ASSERT_EQ(got.size(), expected.size());
    ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0);
}

// About the ends of register tiles; a GPU's are few, and slow where they are emulated.
std::vector<std::int64_t> row_counts(Family family) {
    if (family == Family::Cuda) return {1, 24, 70};
    return {1, 2, 3, 5, 7, 12, 13, 24, 25, 40, 128, 131};
}

TEST_P(ProductOutputs, SegmentsAreAddedAsCombineAddsSlices) {
    constexpr std::int64_t kWidth = 37, kCols = 70;
    for (const Kind& kind : all_kinds()) {
        for (const int segments : {1, 2, 3, 5, 7}) {
            SCOPED_TRACE(kind.name + ", segments " + std::to_string(segments));
            const TestWeight weight(kind, kWidth, segments * kCols, 3);
            std::vector<WeightPart> parts;
            for (int s = 0; s < segments; ++s)
                parts.push_back({weight.slice(0, kWidth, s * kCols, kCols), 0, s});
            const Packed packed = pack(kernel().family, parts, kind);
            for (const std::int64_t rows : row_counts(kernel().family)) {
                const std::vector<float> plain = outputs(packed, rows, kWidth, Outputs::Plain);
                std::vector<float> sums(static_cast<std::size_t>(rows * kWidth));
                CombineArgs args;
                args.rows = rows;
                args.dim = kWidth;
                args.slices = segments;
                args.base = plain.data();
                args.out = sums.data();
                choose(Family::Reference, args, this_machine()).run(args, {});
                const int threads = 1 + static_cast<int>(rows % 2);
                expect_same_bits(outputs(packed, rows, kWidth, Outputs::SummedSegments, {}, threads), sums);
                if (HasFatalFailure()) return;
            }
        }
    }
}

TEST_P(ProductOutputs, AreGatedAsByTheGate) {
    for (const Kind& kind : all_kinds()) {
        for (const std::int64_t width : {1, 16, 37, 80, 144}) {  // not all begin both halves with a panel
            SCOPED_TRACE(kind.name + ", width " + std::to_string(width));
            const Packed packed = pack_whole(kernel().family, TestWeight(kind, 2 * width, 130, 3));
            for (const std::int64_t rows : row_counts(kernel().family)) {
                const Activation activation = rows % 2 == 0 ? Activation::Silu : Activation::GeluTanh;
                const std::vector<float> plain = outputs(packed, rows, 2 * width, Outputs::Plain);
                std::vector<float> gated(static_cast<std::size_t>(rows * width));
                run_to_end(gate_of(GetParam()), {plain.data(), rows, width, activation, gated.data()});
                expect_same_bits(outputs(packed, rows, width, Outputs::Gated, activation, 2), gated);
                if (HasFatalFailure()) return;
            }
        }
    }
}

std::vector<std::string> names() {
    std::vector<std::string> all;
    for (const Kernel<ProductArgs>& kernel : sluice::kernels::kernels<ProductArgs>())
        all.emplace_back(kernel.name);
    return all;
}

INSTANTIATE_TEST_SUITE_P(Every, ProductOutputs, ::testing::ValuesIn(names()), [](const auto& named) {
    std::string name = named.param;
    for (char& c : name)
        if (c == '.') c = '_';
    return name;
});

}  // namespace
}  // namespace sluice::test
