#include "jobs/selftest_sums.hpp"

#include "comm/rank_state.hpp"
#include "comm/tree_sum.hpp"
#include "core/random.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <vector>

namespace sluice {
namespace {

constexpr std::size_t kPiece = 4096;
// Values made on a rank for one check at most: with many ranks, only every so many pieces are compared.
constexpr std::size_t kMostValues = std::size_t{1} << 27;
constexpr int kRepeats = 11;

// Signs and sizes differ much: another order of additions shows in the bits.
float value_of(int rank, std::size_t index) {
    const std::uint64_t bits = mix64(mix64(static_cast<std::uint64_t>(rank)) ^ index);
    const float fraction = 1 + static_cast<float>(bits >> 41U) * 0x1p-23F;
    const float magnitude = std::ldexp(fraction, static_cast<int>(bits % 32) - 16);
    return (bits & 64U) != 0 ? -magnitude : magnitude;
}

std::byte byte_of(int rank, std::size_t index) {
    return static_cast<std::byte>(mix64(mix64(static_cast<std::uint64_t>(rank)) ^ index));
}

std::vector<float> sums_of(int ranks, std::size_t first, std::size_t count) {
    std::vector<float> values(static_cast<std::size_t>(ranks) * count);
    std::vector<float*> parts;
    for (int rank = 0; rank < ranks; ++rank) {
        parts.push_back(values.data() + static_cast<std::size_t>(rank) * count);
        for (std::size_t i = 0; i < count; ++i) parts.back()[i] = value_of(rank, first + i);
    }
    tree_sum(parts, count);
    values.resize(count);
    return values;
}

// What is wrong with `bytes` that came from `rank`.
std::string wrong_bytes(std::span<const std::byte> bytes, int rank) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (bytes[i] == byte_of(rank, i)) continue;
        return fmt::format("of {} bytes from rank {}, byte {} came as {:#04x} instead of {:#04x}",
                           bytes.size(), rank, i, static_cast<int>(bytes[i]),
                           static_cast<int>(byte_of(rank, i)));
    }
    return "";
}

double median_seconds(Communicator& world, const std::function<void()>& call) {
    using Clock = std::chrono::steady_clock;
    std::vector<double> seconds;
    for (int repeat = 0; repeat <= kRepeats; ++repeat) {
        world.barrier();
        const Clock::time_point start = Clock::now();
        call();
        if (repeat > 0)  // the first sets up buffers and connections
            seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    std::ranges::sort(seconds);
    return seconds[seconds.size() / 2];
}

// `sum` makes of this rank's values the sums over all ranks.
std::string wrong_sums_by(Communicator& world, std::size_t count,
                          const std::function<void(std::span<float>)>& sum) {
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = value_of(world.rank(), i);
    sum(values);
    const std::size_t stride =
        kPiece * std::max<std::size_t>(1, count * static_cast<std::size_t>(world.size()) / kMostValues);
    for (std::size_t first = 0; first < count; first += stride) {
        const std::size_t length = std::min(kPiece, count - first);
        const std::vector<float> expected = sums_of(world.size(), first, length);
        note_progress();
        for (std::size_t i = 0; i < length; ++i) {
            if (std::memcmp(&values[first + i], &expected[i], sizeof(float)) == 0) continue;
            return fmt::format("of {} floats, number {} is {} instead of {}", count, first + i,
                               values[first + i], expected[i]);
        }
    }
    return "";
}

}  // namespace

std::string wrong_sums(Communicator& world, std::size_t count) {
    return wrong_sums_by(world, count, [&](std::span<float> values) { world.all_reduce_sum(values); });
}

std::string wrong_device_sums(Communicator& world, const Ops& ops, DeviceSums& sums, std::size_t count) {
    const Tensor room(ops.memory(), DType::F32, {static_cast<std::int64_t>(count)});
    auto* const here = room.view().as<float>();
    return wrong_sums_by(world, count, [&](std::span<float> values) {
        ops.upload(values.data(), here, values.size_bytes());
        sums.all_reduce_sum(here, count);
        sums.wait();
        ops.download(here, values.data(), values.size_bytes());
    });
}

std::string wrong_broadcast(Communicator& world, std::size_t count, int root) {
    std::vector<std::byte> bytes(count);
    if (world.rank() == root)
        for (std::size_t i = 0; i < count; ++i) bytes[i] = byte_of(root, i);
    world.broadcast(bytes, root);
    return wrong_bytes(bytes, root);
}

std::string wrong_gather(Communicator& world, std::size_t count) {
    std::vector<std::byte> mine(count);
    for (std::size_t i = 0; i < count; ++i) mine[i] = byte_of(world.rank(), i);
    std::vector<std::byte> all(count * static_cast<std::size_t>(world.size()));
    world.all_gather(mine, all);
    for (int rank = 0; rank < world.size(); ++rank) {
        const auto part = std::span(all).subspan(static_cast<std::size_t>(rank) * count, count);
        if (std::string wrong = wrong_bytes(part, rank); !wrong.empty()) return wrong;
    }
    return "";
}

double all_reduce_seconds(Communicator& world, std::size_t count) {
    std::vector<float> values(count);  // zeros stay zeros
    return median_seconds(world, [&] { world.all_reduce_sum(values); });
}

double barrier_seconds(Communicator& world) {
    return median_seconds(world, [&] { world.barrier(); });
}

}  // namespace sluice
