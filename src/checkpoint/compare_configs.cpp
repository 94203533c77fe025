#include "checkpoint/compare_configs.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace sluice {
namespace {

ModelConfig comparable(ModelConfig config) {
    config.quantization = {};
    config.mtp_layers = 0;
    config.family.clear();
    return config;
}

// The first of those that differ.
class FirstDifference {
public:
    template <class T>
    void compare(const char* what, const T& found, const T& expected) {
        if (text_.empty() && found != expected)
            text_ = fmt::format("{} is {}, but {} in the source", what, found, expected);
    }
    const std::string& text() const { return text_; }

private:
    std::string text_;
};

}  // namespace

std::string config_difference(const ModelConfig& found, const ModelConfig& expected) {
    const ModelConfig a = comparable(found);
    const ModelConfig b = comparable(expected);
    if (a == b) return "";
    FirstDifference first;
    first.compare("the vocabulary", a.vocab, b.vocab);
    first.compare("the width", a.dim, b.dim);
    first.compare("the number of layers", a.layers.size(), b.layers.size());
    first.compare("the number of positions", a.max_length, b.max_length);
    first.compare("the norms' epsilon", a.norm_eps, b.norm_eps);
    first.compare("rope theta", a.rope.theta, b.rope.theta);
    first.compare("the factor of rope scaling", a.rope.factor, b.rope.factor);
    if (!first.text().empty()) return first.text();
    if (a.rope != b.rope) return "the rotary embedding is not the source's";
    const auto layer = std::ranges::mismatch(a.layers, b.layers).in1;
    if (layer != a.layers.end()) return fmt::format("layer {} is not the source's", layer - a.layers.begin());
    return "it is not the source's";
}

}  // namespace sluice
