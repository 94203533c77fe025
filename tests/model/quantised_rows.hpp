// Whether a backend quantises rows to fp8 as the reference does.
//
// Both differ in the order of sums, and in bfloat16 where activations are not quantised (the head, kv_b's
// halves). Quantisation is a staircase: a relative difference of 2^-9 moves one value in thirty by a whole
// step of 2^-4, layer after layer. Were the steps independent, the distance would be 1.4 times what
// quantising moves the reference itself; without quantisation in the fast path, 1.0. Alike, it is below.
#pragma once

#include "model/comparison.hpp"
#include "support/goldens.hpp"
#include "support/small_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sluice::test {

// Over the first `longest` tokens of each golden prompt.
inline void expect_rows_quantised_as_the_reference_does(SmallModelOptions options, std::int64_t longest) {
    const auto ranks = make_self();
    const SmallModelOptions plain{.family = kernels::Family::Reference, .kv_dtype = DType::F32};
    SmallModelOptions alike = plain;
    options.gemm = alike.gemm = Products::Fp8;
    SmallModel fast("v3", options, *ranks);
    SmallModel reference("v3", alike, *ranks);
    SmallModel unquantised("v3", plain, *ranks);
    Difference to_reference;
    Difference by_quantising;
    for (const GoldenPrompt& prompt : read_goldens("deepseek-v3-tiny").prompts) {
        const std::int64_t tokens = std::min(prompt.ids.shape[0], longest);
        const auto ids = std::span(prompt.ids.values).first(static_cast<std::size_t>(tokens));
        Choices choices[3];
        const std::vector<float> a = fast.logits(ids, 0, &choices[0]);
        const std::vector<float> b = reference.logits(ids, 0, &choices[1]);
        const std::vector<float> c = unquantised.logits(ids, 0, &choices[2]);
        const std::int64_t same =
            std::min(first_flip(choices[0], choices[1], tokens), first_flip(choices[1], choices[2], tokens));
        const auto count = static_cast<std::size_t>(same * fast.config().vocab);
        compare(std::span(a).first(count), std::span(b).first(count), to_reference);
        compare(std::span(b).first(count), std::span(c).first(count), by_quantising);
    }
    testing::Test::RecordProperty("share",
                                  std::to_string(std::sqrt(to_reference.squares / by_quantising.squares)));
    EXPECT_GT(to_reference.values, 20 * fast.config().vocab) << "too little was compared";
    EXPECT_LT(std::sqrt(to_reference.squares), 0.85 * std::sqrt(by_quantising.squares));
}

}  // namespace sluice::test
