// Weights of any size, stored and packed, for packing and products; values are random, made fast.
#pragma once

#include "kernels/cases.hpp"
#include "kernels/kernel.hpp"

namespace sluice::test {

inline std::string name_of(DType dtype, Products products) {
    const bool wide_rows = dtype == DType::F8E4M3 && products != Products::Fp8;
    return fmt::format("{}{}", name_of(dtype), wide_rows ? ",bf16_rows" : "");
}

struct ProductCase {
    std::int64_t rows = 3, n = 0, k = 0;
    DType dtype = DType::BF16;
    bool large = false;
    Products products = Products::Fp8;                      // of fp8 weights
    std::int64_t elements() const { return rows * n * k; }  // multiply-adds
    std::string name() const { return fmt::format("{}x{}x{},{}", rows, n, k, name_of(dtype, products)); }
};
std::vector<ProductCase> product_cases();

// One matrix W[n, k]: fp8 has blocks of 128 x 128, int8 a scale an output, so that all of k is one block.
struct StoredWeight {
    StoredWeight(std::int64_t n, std::int64_t k, DType dtype);
    Packed pack(Family family, Products products, int threads = 1) const;

    std::vector<std::uint8_t> values;
    std::vector<float> scales;
    HostMatrix matrix;
};

// The packed weights of a case; of a large one as many copies as leave no cache anything of a weight when its
// turn comes again.
class ProductCall {
public:
    explicit ProductCall(const ProductCase& c);
    ProductArgs args(Family family);  // of the next copy

private:
    ProductCase size_;
    Packed reference_;
    std::size_t turn_ = 0;
    std::vector<float> x_, out_;
    std::vector<ProductJob> jobs_;
};

struct PackCase {
    std::int64_t n = 0, k = 0;
    DType dtype = DType::BF16;
    bool large = false;
    std::int64_t elements() const { return n * k; }
    std::string name() const { return fmt::format("{}x{},{}", n, k, name_of(dtype)); }
};
std::vector<PackCase> pack_cases();

class PackCall {
public:
    explicit PackCall(const PackCase& c) : stored_(c.n, c.k, c.dtype), parts_({{stored_.matrix, 0, 0}}) {}
    PackArgs args() {
        packed_ = nullptr;
        return {parts_, Products::Fp8, false, false, &packed_};
    }

private:
    StoredWeight stored_;
    std::vector<WeightPart> parts_;
    Packed packed_;
};

}  // namespace sluice::test
