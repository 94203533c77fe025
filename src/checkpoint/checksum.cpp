#include "checkpoint/checksum.hpp"

#include "checkpoint/checksum_level.hpp"

#include <fmt/core.h>

#include <array>

namespace sluice {
namespace {

struct Levels {
    std::array<const ChecksumLevel*, 3> all{&kChecksumGeneric};
    std::size_t count = 1;

    Levels() {
#if defined(__x86_64__)
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx2")) all[count++] = &kChecksumAvx2;
        if (__builtin_cpu_supports("avx512f")) all[count++] = &kChecksumAvx512;
#endif
    }
};

const ChecksumLevel& fastest() {
    static const ChecksumLevel& level = *checksum_levels().back();
    return level;
}

}  // namespace

std::span<const ChecksumLevel* const> checksum_levels() {
    static const Levels levels;
    return {levels.all.data(), levels.count};
}

Checksum::Checksum() : Checksum(fastest()) {}

Checksum::Checksum(const ChecksumLevel& level) : level_(&level) { level_->reset(state_); }

void Checksum::add(std::span<const std::byte> bytes) { level_->add(state_, bytes.data(), bytes.size()); }

std::uint64_t Checksum::value() const { return level_->value(state_); }

std::uint64_t checksum_of(const void* data, std::size_t bytes) { return fastest().whole(data, bytes); }

std::string checksum_text(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

}  // namespace sluice
