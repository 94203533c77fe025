#include "cuda/emulation/wgmma.hpp"

#include "core/dtype.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <vector>

namespace sluice::emulation {
namespace {

constexpr unsigned kAllLanes = 0xffffffffU;
constexpr unsigned kWarpgroup = 128;
constexpr int kOutputs = 64, kColumns = 16;

// A product of a warpgroup, as its first thread began it.
struct Product {
    Operand a, b;
    unsigned first = 0;  // thread
    std::uint64_t seen = 0;
};

struct UnderWay {
    std::size_t product;
    int group;
};

struct Thread {
    float* sums = nullptr;      // that products add to
    std::vector<float> values;  // which they will have
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

const std::byte* element(const Operand& operand, int row, int column) {
    const int chunk = 2 * operand.step + column / 8;
    return operand.tile + 128 * row + 16 * (chunk ^ row % 8) + column % 8 * 2;
}

float value(const Operand& operand, int row, int column) {
    bf16 bits = 0;
    std::memcpy(&bits, element(operand, row, column), sizeof bits);
    return to_float(bits);
}

// Of all bits that an operand has.
std::uint64_t digest(const Operand& operand, int rows) {
    std::uint64_t all = 0;
    for (int row = 0; row < rows && operand.tile != nullptr; ++row) {
        for (int column = 0; column < kColumns; column += 4) {
            std::uint64_t four = 0;
            std::memcpy(&four, element(operand, row, column), sizeof four);
            all = (all ^ four) * 0x9e3779b97f4a7c15U;
            all ^= all >> 29;
        }
    }
    return all;
}
std::uint64_t digest(const Operand& a, const Operand& b, int tiles) {
    return digest(a, kOutputs) * 31 + digest(b, 8 * tiles);
}

void begin(Thread& mine, float* sums, int tiles, const Operand& a, const Operand& b) {
    if (!mine.fenced) fail_thread("a product begins before registers are fenced");
    if (!copies_are_shown()) fail_thread("a product begins before the thread has shown its copies");
    expect_aligned(b.tile, 1024);
    if (a.tile != nullptr) expect_aligned(a.tile, 1024);
    const auto count = static_cast<std::size_t>(4 * tiles);
    if (mine.sums == nullptr) {
        mine.sums = sums;
        mine.values.assign(sums, sums + count);
        std::fill_n(sums, count, std::numeric_limits<float>::quiet_NaN());
    }
    if (mine.sums != sums || mine.values.size() != count) fail_thread("products add to two sums at once");

    std::vector<Product>& begun = the_block().products[thread_number() / kWarpgroup];
    if (mine.products == begun.size()) begun.push_back({a, b, thread_number(), digest(a, b, tiles)});
    const Product& product = begun[mine.products];
    if (product.a != a || product.b != b) fail_thread("a warpgroup's threads multiply different tiles");
    mine.under_way.push_back({mine.products++, mine.groups});
}

// Rows g and g + 8 of the warp's sixteen.
using Rows = std::array<std::array<float, kColumns>, 2>;

void add(Thread& mine, int tiles, const Rows& a, const Operand& b) {
    const int t = static_cast<int>(lane()) % 4;
    for (int column = 0; column < 8 * tiles; ++column) {
        if (column % 8 / 2 != t) continue;
        std::array<float, kColumns> other{};
        for (int k = 0; k < kColumns; ++k) other[static_cast<std::size_t>(k)] = value(b, column, k);
        for (std::size_t half = 0; half < 2; ++half) {
            float& sum = mine.values[static_cast<std::size_t>(column / 8 * 4 + column % 2) + 2 * half];
            double exact = sum;
            for (std::size_t k = 0; k < kColumns; ++k) exact += static_cast<double>(a[half][k]) * other[k];
            sum = static_cast<float>(exact);
        }
    }
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

void fence_registers(const float* sums) {
    Thread& mine = this_thread();
    if (mine.sums == sums && !std::all_of(sums, sums + mine.values.size(), [](float s) { return s != s; }))
        fail_thread("sums are written while products add to them");
    mine.fenced = true;
}

void write_registers() { this_thread().fenced = false; }

void commit_products() { ++this_thread().groups; }

void wait_products(float* sums, int most_pending) {
    Thread& mine = this_thread();
    std::vector<Product>& begun = the_block().products[thread_number() / kWarpgroup];
    std::erase_if(mine.under_way, [&](const UnderWay& each) {
        if (each.group >= mine.groups - most_pending) return false;
        const Product& product = begun[each.product];
        const int tiles = static_cast<int>(mine.values.size()) / 4;
        if (product.first == thread_number() && digest(product.a, product.b, tiles) != product.seen)
            fail_thread("a tile changes while a product reads it");
        return true;
    });
    if (!mine.under_way.empty() || mine.sums == nullptr) return;
    if (mine.sums != sums) fail_thread("other sums are waited for than products add to");
    std::copy(mine.values.begin(), mine.values.end(), sums);
    mine.sums = nullptr;
    mine.fenced = false;
}

void multiply_async(float* sums, int tiles, const Operand& a, const Operand& b) {
    Thread& mine = this_thread();
    begin(mine, sums, tiles, a, b);
    Rows rows{};
    const int first = static_cast<int>(thread_number() % kWarpgroup / 32 * 16 + lane() / 4);
    for (int half = 0; half < 2; ++half) {
        for (int k = 0; k < kColumns; ++k)
            rows[static_cast<std::size_t>(half)][static_cast<std::size_t>(k)] = value(a, first + 8 * half, k);
    }
    add(mine, tiles, rows, b);
}

void multiply_async(float* sums, int tiles, const std::uint32_t (&a)[4], const Operand& b) {
    Fragment fragment{a};
    meet("wgmma", kAllLanes, &fragment, &exchange);
    Thread& mine = this_thread();
    begin(mine, sums, tiles, {}, b);
    add(mine, tiles, fragment.rows, b);
}

}  // namespace sluice::emulation
