#include "cuda/emulation/wgmma.hpp"

#include "core/dtype.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace sluice::emulation {
namespace {

constexpr unsigned kAllLanes = 0xffffffffU;
constexpr unsigned kWarpgroup = 128;
constexpr int kOutputs = 64, kColumns = 16, kBytes = 32;  // of a product: rows of a, columns, bytes of them

// A product of a warpgroup, as its first thread began it.
struct Product {
    Operand a, b;
    int tiles = 0;
    unsigned first = 0;  // thread
    std::uint64_t seen = 0;
};

struct UnderWay {
    std::size_t product;
    int group;
    const float* sums;  // that it adds to
};

// Sums that nothing may touch, and the values they will have.
struct Sums {
    float* at = nullptr;
    std::vector<float> values;
};

struct Thread {
    std::vector<Sums> sums;
    std::vector<UnderWay> under_way;
    std::size_t products = 0;
    int groups = 0;  // committed
    bool fenced = false;
};

// Of the block that runs.
struct Block {
    std::uint64_t number = 0;
    std::array<Thread, 1024> threads;
    std::array<std::vector<Product>, 1024 / kWarpgroup> products;
};

Block& the_block() {
    static Block block;
    if (block.number != block_number()) {
        block.number = block_number();
        block.threads.fill({});
        block.products.fill({});
    }
    return block;
}
Thread& this_thread() { return the_block().threads[thread_number()]; }

std::vector<Sums>::iterator find_sums(Thread& thread, const float* at) {
    return std::find_if(thread.sums.begin(), thread.sums.end(), [&](const Sums& s) { return s.at == at; });
}

const std::byte* byte_of(const Operand& operand, int row, int byte) {
    const int chunk = 2 * operand.step + byte / 16;
    return operand.tile + 128 * row + 16 * (chunk ^ row % 8) + byte % 16;
}

float value(const Operand& operand, int row, int column) {
    bf16 bits = 0;
    std::memcpy(&bits, byte_of(operand, row, 2 * column), sizeof bits);
    return to_float(bits);
}

// Of all bits that an operand has.
std::uint64_t digest(const Operand& operand, int rows) {
    std::uint64_t all = 0;
    for (int row = 0; row < rows && operand.tile != nullptr; ++row) {
        for (int byte = 0; byte < kBytes; byte += 8) {
            std::uint64_t eight = 0;
            std::memcpy(&eight, byte_of(operand, row, byte), sizeof eight);
            all = (all ^ eight) * 0x9e3779b97f4a7c15U;
            all ^= all >> 29;
        }
    }
    return all;
}
std::uint64_t digest(const Operand& a, const Operand& b, int tiles) {
    return digest(a, kOutputs) * 31 + digest(b, 8 * tiles);
}

// The values that the thread's sums will have, to be added to.
std::vector<float>& begin(Thread& mine, float* at, int tiles, const Operand& a, const Operand& b) {
    if (!mine.fenced) fail_thread("a product begins before registers are fenced");
    if (!copies_are_shown()) fail_thread("a product begins before the thread has shown its copies");
    expect_aligned(b.tile, 1024);
    if (a.tile != nullptr) expect_aligned(a.tile, 1024);
    const auto count = static_cast<std::size_t>(4 * tiles);
    auto sums = find_sums(mine, at);
    if (sums == mine.sums.end()) {
        sums = mine.sums.insert(sums, {at, {at, at + count}});
        std::fill_n(at, count, std::numeric_limits<float>::quiet_NaN());
    }
    if (sums->values.size() != count) fail_thread("products of two sizes add to the same sums");

    std::vector<Product>& begun = the_block().products[thread_number() / kWarpgroup];
    if (mine.products == begun.size()) begun.push_back({a, b, tiles, thread_number(), digest(a, b, tiles)});
    const Product& product = begun[mine.products];
    if (product.a != a || product.b != b) fail_thread("a warpgroup's threads multiply different tiles");
    mine.under_way.push_back({mine.products++, mine.groups, at});
    return sums->values;
}

// Rows g and g + 8 of the warp's sixteen.
using Rows = std::array<std::array<float, kColumns>, 2>;

// Which row of the warpgroup's the lane has in that half.
int row_of_lane(std::size_t half) {
    return static_cast<int>(thread_number() % kWarpgroup / 32 * 16 + lane() / 4 + 8 * half);
}

// Calls add(half, column, sum) for each sum of the lane: in which of its two rows it lies, and in which
// column.
template <class Add>
void for_each_sum(std::vector<float>& values, Add add) {
    const std::size_t t = lane() % 4;
    for (std::size_t i = 0; i < values.size(); ++i)
        add(i % 4 / 2, static_cast<int>(i / 4 * 8 + 2 * t + i % 2), values[i]);
}

void add(std::vector<float>& values, const Rows& a, const Operand& b) {
    for_each_sum(values, [&](std::size_t half, int column, float& sum) {
        double exact = sum;
        for (int k = 0; k < kColumns; ++k)
            exact += static_cast<double>(a[half][static_cast<std::size_t>(k)]) * value(b, column, k);
        sum = static_cast<float>(exact);
    });
}

// A code's value and its exponent; subnormals have that of the least normal one.
struct Code {
    float value = 0;
    int exponent = 0;
};

const Code& code_of(const Operand& operand, int row, int column) {
    static const std::array<Code, 256> codes = [] {
        std::array<Code, 256> all;
        for (std::size_t i = 0; i < all.size(); ++i) {
            const float value = fp8_to_float(static_cast<fp8>(i));
            all[i] = {value, std::max(std::ilogb(value), -6)};
        }
        return all;
    }();
    return codes[static_cast<std::size_t>(*byte_of(operand, row, column))];
}

struct Addend {
    double value = 0;
    int exponent = 0;
};

// All are shifted to the largest exponent, where fourteen bits of each are kept, and so many of their sum.
float add_few_bits(const std::vector<Addend>& addends) {
    constexpr int kBits = 13;  // behind the leading one
    constexpr int kNone = std::numeric_limits<int>::min();
    int largest = kNone;
    for (const Addend& each : addends) {
        if (!std::isfinite(each.value)) return std::numeric_limits<float>::quiet_NaN();
        if (each.value != 0) largest = std::max(largest, each.exponent);
    }
    if (largest == kNone) return 0;
    double sum = 0;
    const double units = std::ldexp(1.0, kBits - largest);
    for (const Addend& each : addends) {
        if (each.value != 0) sum += std::trunc(each.value * units);
    }
    if (sum == 0) return 0;
    const int excess = std::max(std::ilogb(sum) - kBits, 0);
    return static_cast<float>(std::ldexp(std::trunc(std::ldexp(sum, -excess)), excess + largest - kBits));
}

struct Fragment {
    const std::uint32_t (&a)[4];
    Rows rows{};
};

// Every lane gets its rows of the four lanes that have them.
void exchange(const Lanes& lanes) {
    for (std::size_t lane = 0; lane < 32; ++lane) {
        auto& mine = *static_cast<Fragment*>(lanes[lane]);
        for (std::size_t t = 0; t < 4; ++t) {
            const auto& theirs = *static_cast<const Fragment*>(lanes[lane / 4 * 4 + t]);
            for (std::size_t i = 0; i < 4; ++i) {
                for (std::size_t h = 0; h < 2; ++h)
                    mine.rows[i % 2][2 * t + h + 8 * (i / 2)] =
                        to_float(static_cast<bf16>(theirs.a[i] >> (16 * h)));
            }
        }
    }
}

}  // namespace

void fence_registers(const float* at) {
    Thread& mine = this_thread();
    const auto sums = find_sums(mine, at);
    if (sums != mine.sums.end() &&
        !std::all_of(at, at + sums->values.size(), [](float sum) { return std::isnan(sum); }))
        fail_thread("sums are written while products add to them");
    mine.fenced = true;
}

void write_registers() { this_thread().fenced = false; }

void commit_products() { ++this_thread().groups; }

void wait_products(int most_pending) {
    Thread& mine = this_thread();
    std::vector<Product>& begun = the_block().products[thread_number() / kWarpgroup];
    std::erase_if(mine.under_way, [&](const UnderWay& each) {
        if (each.group >= mine.groups - most_pending) return false;
        const Product& product = begun[each.product];
        if (product.first == thread_number() && digest(product.a, product.b, product.tiles) != product.seen)
            fail_thread("a tile changes while a product reads it");
        return true;
    });
}

void take_sums(float* at) {
    Thread& mine = this_thread();
    const auto sums = find_sums(mine, at);
    if (sums == mine.sums.end()) return;
    if (std::any_of(mine.under_way.begin(), mine.under_way.end(),
                    [&](const UnderWay& each) { return each.sums == at; }))
        fail_thread("sums are taken before their products have ended");
    std::copy(sums->values.begin(), sums->values.end(), at);
    mine.sums.erase(sums);
    mine.fenced = false;
}

void multiply_async(float* sums, int tiles, const Operand& a, const Operand& b) {
    std::vector<float>& values = begin(this_thread(), sums, tiles, a, b);
    Rows rows{};
    for (std::size_t half = 0; half < 2; ++half) {
        for (int k = 0; k < kColumns; ++k)
            rows[half][static_cast<std::size_t>(k)] = value(a, row_of_lane(half), k);
    }
    add(values, rows, b);
}

void multiply_async(float* sums, int tiles, const std::uint32_t (&a)[4], const Operand& b) {
    Fragment fragment{a};
    meet("wgmma", kAllLanes, &fragment, &exchange);
    add(begin(this_thread(), sums, tiles, {}, b), fragment.rows, b);
}

void multiply_codes_async(float* sums, int tiles, const Operand& a, const Operand& b, bool fresh) {
    std::vector<float>& values = begin(this_thread(), sums, tiles, a, b);
    if (fresh) std::fill(values.begin(), values.end(), 0.0F);
    std::vector<Addend> addends;
    for_each_sum(values, [&](std::size_t half, int column, float& sum) {
        addends.assign(1, {sum, std::ilogb(sum)});
        for (int k = 0; k < kBytes; ++k) {
            const Code &left = code_of(a, row_of_lane(half), k), &right = code_of(b, column, k);
            addends.push_back(
                {static_cast<double>(left.value) * right.value, left.exponent + right.exponent});
        }
        sum = add_few_bits(addends);
    });
}

}  // namespace sluice::emulation
