#pragma once

#include "kernels/cases.hpp"
#include "support/guarded.hpp"

namespace sluice::test {

struct GateCase {
    std::int64_t rows = 3, width = 0;
    Activation activation = Activation::Silu;
    bool large = false;
    std::int64_t elements() const { return rows * width; }
    std::string name() const {
        return fmt::format("{}x{},{}", rows, width, activation == Activation::Silu ? "silu" : "gelu_tanh");
    }
};

inline std::vector<GateCase> gate_cases() {
    std::vector<GateCase> cases;
    for (const Activation activation : {Activation::Silu, Activation::GeluTanh}) {
        for (const std::int64_t width : {1, 15, 16, 17, 100, 333})
            cases.push_back({.width = width, .activation = activation});
    }
    // Experts of DeepSeek-V2-Lite and V3, feed-forward layers of Llama and Grok-1.
    for (const std::int64_t width : {1408, 2048, 14336}) add_steps(cases, {.width = width});
    add_steps(cases, {.width = 32768, .activation = Activation::GeluTanh});
    return cases;
}

struct GateCall {
    explicit GateCall(const GateCase& c)
        : size(c),
          x(Noise(static_cast<std::uint64_t>(c.width)).vector(c.rows * 2 * c.width, 4)),
          out(c.rows, c.width) {
        for (std::size_t i = 0; i < x.size(); i += 3) x[i] *= 30;
    }
    GateArgs args() { return {x.data(), size.rows, size.width, size.activation, out.data()}; }

    GateCase size;
    std::vector<float> x;
    Guarded<float> out;
};

}  // namespace sluice::test
