#pragma once

#include "kernels/cases.hpp"
#include "support/guarded.hpp"

namespace sluice::test {

struct EmbedCase {
    std::int64_t rows = 7, dim = 0;
    DType dtype = DType::BF16;
    std::int64_t vocabulary = 5;
    bool large = false;
    std::int64_t elements() const { return rows * dim; }
    std::string name() const { return fmt::format("{}x{},{}", rows, dim, name_of(dtype)); }
};

inline std::vector<EmbedCase> embed_cases() {
    std::vector<EmbedCase> cases;
    for (const std::int64_t dim : {1, 7, 15, 16, 64, 1000}) {
        for (const DType dtype : {DType::F32, DType::BF16}) cases.push_back({.dim = dim, .dtype = dtype});
    }
    for (const std::int64_t dim : kStreamWidths) add_steps(cases, {.dim = dim});
    for (EmbedCase& c : cases) c.vocabulary = c.large ? 2 * c.rows + 8 : c.vocabulary;
    return cases;
}

// The first ids lie at the edges of this rank's part of the vocabulary and beyond them.
struct EmbedCall {
    explicit EmbedCall(const EmbedCase& c)
        : size(c), ids({104, 100, 99, 105, 102, 0, 100}), out(c.rows, c.dim) {
        Noise noise(7);
        table = noise.vector(c.vocabulary * c.dim);
        if (c.dtype == DType::BF16) {
            for (const float v : table) half.push_back(to_bf16(v));
        }
        while (static_cast<std::int64_t>(ids.size()) < c.rows)
            ids.push_back(static_cast<std::int32_t>(100 + noise.below(c.vocabulary)));
    }
    EmbedArgs args() {
        const bool wide = size.dtype == DType::F32;
        return {ids.data(), wide ? static_cast<const void*>(table.data()) : half.data(),
                size.dtype, size.rows,
                100,        size.vocabulary,
                size.dim,   1.5F,
                out.data()};
    }

    EmbedCase size;
    std::vector<std::int32_t> ids;
    std::vector<float> table;
    std::vector<bf16> half;
    Guarded<float> out;
};

}  // namespace sluice::test
