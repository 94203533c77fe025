#include "kernels/product_cases.hpp"

#include <unistd.h>

#include <algorithm>
#include <memory>

namespace sluice::test {
namespace {

constexpr DType kStored[] = {DType::BF16, DType::F8E4M3, DType::I8};

// Bytes that no cache holds much of, of the processor or of a GPU.
std::size_t out_of_cache(Family family) {
    if (family == Family::Cuda) return std::size_t{256} << 20U;
    const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    return std::max(std::size_t{256} << 20U, 4 * static_cast<std::size_t>(std::max(cache, 0L)));
}

// The weights of the last shape asked for: packing them takes longer than most products.
const std::vector<Packed>& copies_of(const ProductCase& c, Family family) {
    static ProductCase held;
    static Family of = Family::Cpu;
    static std::vector<Packed> copies;
    if (!copies.empty() && held.n == c.n && held.k == c.k && held.dtype == c.dtype &&
        held.products == c.products && of == family)
        return copies;
    held = c;
    of = family;
    copies.clear();
    const StoredWeight stored(c.n, c.k, c.dtype);
    std::size_t bytes = 0;
    do {
        copies.push_back(stored.pack(family, c.products));
        bytes += copies.back()->bytes;
    } while (c.large && bytes < out_of_cache(family));
    return copies;
}

}  // namespace

std::vector<ProductCase> product_cases() {
    std::vector<ProductCase> cases;
    for (const DType dtype : kStored) {
        for (const std::int64_t n : {1, 15, 129}) cases.push_back({.n = n, .k = 300, .dtype = dtype});
    }
    // An expert's two matrices in DeepSeek-V3, one of DeepSeek-V2-Lite's, and Llama-3.1-8B's attention.
    for (const auto& [n, k] : {std::pair{2048, 7168}, {7168, 2048}, {1408, 2048}, {4096, 4096}}) {
        for (const DType dtype : kStored) {
            const ProductCase each{.rows = 4, .n = n, .k = k, .dtype = dtype, .large = true};
            cases.push_back(each);
            add_steps(cases, each);
        }
    }
    return cases;
}

StoredWeight::StoredWeight(std::int64_t n, std::int64_t k, DType dtype)
    : values(static_cast<std::size_t>(n * k * 2)),
      scales(static_cast<std::size_t>(std::max(n, (n + 127) / 128 * ((k + 127) / 128))), 0.01F) {
    const bool halves = dtype == DType::BF16;
    for (std::size_t i = 0; i + 1 < values.size(); i += 2) {
        const std::uint64_t bits = mix64(i);
        values[i] = static_cast<std::uint8_t>(bits & 0xbfU);  // fp8: no NaN; bf16: magnitudes near one
        values[i + 1] = static_cast<std::uint8_t>(halves ? 0x3cU | (bits >> 8U & 0x80U) : bits >> 8U & 0xbfU);
    }
    matrix.values = values.data();
    matrix.dtype = dtype;
    matrix.rows = n;
    matrix.cols = matrix.row_stride = k;
    if (halves) return;
    matrix.scales = scales.data();
    if (dtype == DType::I8) {
        matrix.block_cols = k;
        matrix.scale_row_stride = 1;
    } else {
        matrix.block_rows = matrix.block_cols = 128;
        matrix.scale_row_stride = (k + 127) / 128;
    }
}

Packed StoredWeight::pack(Family family, Products products, int threads) const {
    const std::vector<WeightPart> parts = {{matrix, 0, 0}};
    Packed packed;
    const PackArgs args{parts, products, false, false, &packed};
    choose(family, args, this_machine()).run(args, {threads});
    return packed;
}

ProductCall::ProductCall(const ProductCase& c)
    : size_(c), x_(Noise(1).vector(c.rows * c.k)), out_(static_cast<std::size_t>(c.rows * c.n)) {}

ProductArgs ProductCall::args(Family family) {
    const PackedWeight* weight = nullptr;
    if (family == Family::Reference) {
        if (reference_ == nullptr)
            reference_ = StoredWeight(size_.n, size_.k, size_.dtype).pack(family, size_.products);
        weight = reference_.get();
    } else {
        const std::vector<Packed>& copies = copies_of(size_, family);
        weight = copies[turn_++ % copies.size()].get();
    }
    jobs_ = {{weight, x_.data(), size_.k, nullptr, size_.rows, out_.data(), size_.n, 0}};
    return {jobs_};
}

std::vector<PackCase> pack_cases() {
    std::vector<PackCase> cases;
    for (const DType dtype : kStored) {
        cases.push_back({.n = 33, .k = 129, .dtype = dtype});
        for (const auto& [n, k] : {std::pair{2048, 7168}, {1408, 2048}, {4096, 4096}})
            cases.push_back({.n = n, .k = k, .dtype = dtype, .large = true});
    }
    return cases;
}

}  // namespace sluice::test
