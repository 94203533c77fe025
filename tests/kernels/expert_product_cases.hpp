// The experts of a layer under a step's tokens, all of one weight's values; the benchmark's alone.
#pragma once

#include "kernels/product_cases.hpp"

#include <thread>

namespace sluice::test {

struct ExpertProductCase {
    std::int64_t rows = 3, top_k = 1, experts = 4, n = 0, k = 0;
    DType dtype = DType::F8E4M3;
    bool large = false;
    Products products = Products::Fp8;                              // of fp8 weights
    std::int64_t elements() const { return rows * top_k * n * k; }  // multiply-adds
    std::string name() const {
        return fmt::format("{}x{}of{},{}x{},{}", rows, top_k, experts, n, k, name_of(dtype, products));
    }
};

inline std::vector<ExpertProductCase> expert_product_cases() {
    std::vector<ExpertProductCase> cases = {{.n = 34, .k = 130}};
    // One rank of eight of DeepSeek-V3, and DeepSeek-V2-Lite.
    add_steps(cases, {.top_k = 1, .experts = 32, .n = 4096, .k = 7168});
    add_steps(cases, {.top_k = 6, .experts = 64, .n = 2816, .k = 2048, .dtype = DType::BF16});
    return cases;
}

// Gated, of tokens that choose experts at random.
class ExpertProductCall {
public:
    explicit ExpertProductCall(const ExpertProductCase& c)
        : size_(c),
          x_(Noise(1).vector(c.rows * c.k)),
          out_(static_cast<std::size_t>(c.rows * c.top_k * c.n / 2)),
          offsets_(static_cast<std::size_t>(c.experts) + 1) {
        Noise noise(2);
        const std::int64_t pairs = c.rows * c.top_k;
        std::vector<std::int64_t> expert;
        for (std::int64_t i = 0; i < pairs; ++i) expert.push_back(noise.below(c.experts));
        for (std::int64_t e = 0; e < c.experts; ++e) {
            for (std::int64_t i = 0; i < pairs; ++i)
                if (expert[static_cast<std::size_t>(i)] == e)
                    tokens_.push_back(static_cast<std::int32_t>(i / c.top_k));
            offsets_[static_cast<std::size_t>(e) + 1] = static_cast<std::int32_t>(tokens_.size());
        }
    }
    ExpertProductArgs args(Family family) {
        if (experts_.empty() || family_ != family) {
            family_ = family;
            experts_.clear();
            const StoredWeight stored(size_.n, size_.k, size_.dtype);
            const auto threads = static_cast<int>(std::thread::hardware_concurrency());
            while (static_cast<std::int64_t>(experts_.size()) < size_.experts)
                experts_.push_back(stored.pack(family, size_.products, threads));
        }
        ExpertProductArgs args;
        args.experts = experts_;
        args.x = x_.data();
        args.x_stride = size_.k;
        args.tokens = tokens_.data();
        args.offsets = offsets_.data();
        args.most_rows = static_cast<std::int64_t>(tokens_.size());
        args.outputs = Outputs::Gated;
        args.out = out_.data();
        args.out_stride = size_.n / 2;
        return args;
    }

private:
    ExpertProductCase size_;
    Family family_ = Family::Cpu;
    std::vector<Packed> experts_;
    std::vector<float> x_, out_;
    std::vector<std::int32_t> offsets_, tokens_;
};

}  // namespace sluice::test
