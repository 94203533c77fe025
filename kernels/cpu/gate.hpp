#pragma once

#include "kernels/cpu/math.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/run.hpp"

namespace sluice::kernels::cpu {

template <class Isa, Activation Kind>
struct Gate {
    using F32 = typename Isa::F32;

    // silu(x) = x sigmoid(x); tanh-GELU is x sigmoid(2u) with u = sqrt(2 / pi) (x + 0.044715 x^3), because
    // (1 + tanh u) / 2 = sigmoid(2u).
    SLUICE_SIMD F32 activate(F32 x) {
        if constexpr (Kind == Activation::Silu) return Isa::mul(x, Math<Isa>::sigmoid(x));
        const F32 cubic = Isa::fma(Isa::mul(x, x), Isa::set(0.07135481627F), Isa::set(1.595769122F));
        return Isa::mul(x, Math<Isa>::sigmoid(Isa::mul(x, cubic)));
    }

    [[gnu::always_inline]] static inline void row(const float* gate, const float* up, std::int64_t width,
                                                  float* out) {
        std::int64_t i = 0;
        for (; i + Isa::kLanes <= width; i += Isa::kLanes) {
            Isa::store(out + i, Isa::mul(activate(Isa::load(gate + i)), Isa::load(up + i)));
        }
        if (i == width) return;
        const int n = static_cast<int>(width - i);
        Isa::store_some(out + i, Isa::mul(activate(Isa::load_some(gate + i, n)), Isa::load_some(up + i, n)),
                        n);
    }
};

template <class Isa, Activation Kind>
void gate_rows(const GateArgs& args, const Execution& execution) {
    over_rows(args.rows, 2 * args.width, execution.threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            const float* gate = args.x + r * 2 * args.width;
            Gate<Isa, Kind>::row(gate, gate + args.width, args.width, args.out + r * args.width);
        }
    });
}

template <class Isa>
void run_gate(const GateArgs& args, const Execution& execution) {
    if (args.activation == Activation::Silu)
        gate_rows<Isa, Activation::Silu>(args, execution);
    else
        gate_rows<Isa, Activation::GeluTanh>(args, execution);
}

}  // namespace sluice::kernels::cpu
