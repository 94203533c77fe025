#include "model/rope.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sluice {
namespace {

// The pair that turns `turns` times within the original length.
double correction_pair(const RopeSpec& rope, float turns) {
    return rope.dim * std::log(rope.original_length / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
}

void stretch_by_yarn(const RopeSpec& rope, std::vector<float>& frequencies) {
    const auto low = static_cast<float>(std::max(std::floor(correction_pair(rope, rope.beta_fast)), 0.0));
    auto high =
        static_cast<float>(std::min(std::ceil(correction_pair(rope, rope.beta_slow)), rope.dim - 1.0));
    if (low == high) high += 0.001F;
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
        const float ramp = std::clamp((static_cast<float>(i) - low) / (high - low), 0.0F, 1.0F);
        const float keep = 1 - ramp;
        frequencies[i] = frequencies[i] / rope.factor * (1 - keep) + frequencies[i] * keep;
    }
}

// Wavelengths that fit often into the original length are kept, those that hardly fit are stretched whole,
// and between the two the share goes evenly (Llama 3.1's released code).
void stretch_by_wavelength(const RopeSpec& rope, std::vector<float>& frequencies) {
    const auto original = static_cast<float>(rope.original_length);
    for (float& frequency : frequencies) {
        const float fits = original * frequency / (2 * std::numbers::pi_v<float>);
        const float keep = std::clamp(
            (fits - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor), 0.0F, 1.0F);
        frequency = (1 - keep) * frequency / rope.factor + keep * frequency;
    }
}

void stretch(const RopeSpec& rope, std::vector<float>& frequencies) {
    switch (rope.scaling) {
        case RopeSpec::Scaling::None: return;
        case RopeSpec::Scaling::Linear:
            for (float& frequency : frequencies) frequency /= rope.factor;
            return;
        case RopeSpec::Scaling::Llama3: return stretch_by_wavelength(rope, frequencies);
        case RopeSpec::Scaling::Yarn: return stretch_by_yarn(rope, frequencies);
    }
}

}  // namespace

std::vector<float> rope_frequencies(const RopeSpec& rope) {
    std::vector<float> frequencies(static_cast<std::size_t>(rope.dim / 2));
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
        const float exponent = static_cast<float>(2 * i) / static_cast<float>(rope.dim);
        frequencies[i] = 1.0F / std::pow(rope.theta, exponent);
    }
    stretch(rope, frequencies);
    return frequencies;
}

std::vector<float> rope_table(const RopeSpec& rope, int positions) {
    const std::vector<float> frequencies = rope_frequencies(rope);
    std::vector<float> table;
    table.reserve(frequencies.size() * 2 * static_cast<std::size_t>(positions));
    for (int position = 0; position < positions; ++position) {
        for (const float frequency : frequencies) {
            const float angle = static_cast<float>(position) * frequency;
            table.push_back(rope.amplitude * std::cos(angle));
            table.push_back(rope.amplitude * std::sin(angle));
        }
    }
    return table;
}

}  // namespace sluice
