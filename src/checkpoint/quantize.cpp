#include "checkpoint/quantize.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace sluice {
namespace {

constexpr std::size_t kChunk = 256;  // values at a time, which stay in the first cache

// Sums side by side, so that several are made at a time. A sum's order is part of its value.
constexpr std::size_t kLanes = 4;

struct ErrorSums {
    std::array<double, kLanes> largest{}, squared_error{}, squared_value{};

    void add(std::size_t lane, float value, float restored) {
        const double difference = static_cast<double>(restored) - static_cast<double>(value);
        const double magnitude = std::fabs(difference);
        largest[lane] = largest[lane] < magnitude ? magnitude : largest[lane];
        squared_error[lane] += difference * difference;
        squared_value[lane] += static_cast<double>(value) * static_cast<double>(value);
    }

    void add(std::span<const float> values, const float* restored) {
        const std::size_t whole = values.size() / kLanes * kLanes;
        for (std::size_t i = 0; i < whole; i += kLanes)
            for (std::size_t lane = 0; lane < kLanes; ++lane) add(lane, values[i + lane], restored[i + lane]);
        for (std::size_t i = whole; i < values.size(); ++i) add(i - whole, values[i], restored[i]);
    }

    QuantizationError total() const {
        QuantizationError error;
        for (std::size_t lane = 0; lane < kLanes; ++lane)
            error.add({largest[lane], squared_error[lane], squared_value[lane]});
        return error;
    }
};

// Codes of quotients, and what they stand for without the scale.
void encode_fp8(std::span<const float> quotients, std::byte* out, float* rounded) {
    to_fp8(quotients, reinterpret_cast<fp8*>(out), rounded);
}

void encode_int8(std::span<const float> quotients, std::byte* out, float* rounded) {
    // Whole numbers are what floats around this one are apart, and its last byte is 0.
    constexpr float kWhole = 0x1.8p23F;
    for (std::size_t i = 0; i < quotients.size(); ++i) {
        const float shifted = quotients[i] + kWhole;
        out[i] = static_cast<std::byte>(std::bit_cast<std::uint32_t>(shifted) & 0xffU);
        rounded[i] = shifted - kWhole;
    }
}

}  // namespace

float largest_magnitude(std::span<const float> values) {
    // As integers: magnitudes of floats stand in the same order, and NaN above infinity.
    std::int32_t largest = 0;
    for (const float value : values)
        largest =
            std::max(largest, static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(value) & 0x7fffffffU));
    return std::bit_cast<float>(largest);
}

float scale_for(float largest, DType to) {
    expect(to == DType::F8E4M3 || to == DType::I8, "scales for {}", name_of(to));
    if (largest == 0) return 1;
    const float largest_code = to == DType::F8E4M3 ? 448.0F : 127.0F;
    const float scale = std::max(largest / largest_code, std::numeric_limits<float>::min());
    return std::isfinite(scale * largest_code) ? scale : std::nextafter(scale, 0.0F);
}

void quantize(std::span<const float> values, float scale, DType to, std::byte* out,
              QuantizationError& error) {
    std::array<float, kChunk> quotients, restored;
    ErrorSums sums;
    for (std::size_t begin = 0; begin < values.size(); begin += kChunk) {
        const auto chunk = values.subspan(begin, std::min(kChunk, values.size() - begin));
        for (std::size_t i = 0; i < chunk.size(); ++i) quotients[i] = chunk[i] / scale;
        (to == DType::I8 ? encode_int8 : encode_fp8)({quotients.data(), chunk.size()}, out + begin,
                                                     restored.data());
        for (std::size_t i = 0; i < chunk.size(); ++i) restored[i] *= scale;
        sums.add(chunk, restored.data());
    }
    error.add(sums.total());
}

}  // namespace sluice
