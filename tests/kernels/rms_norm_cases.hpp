#pragma once

#include "kernels/cases.hpp"
#include "support/guarded.hpp"

#include <algorithm>

namespace sluice::test {

struct RmsNormCase {
    std::int64_t rows = 3, dim = 0;
    float scale = 1;
    bool large = false;
    std::int64_t elements() const { return rows * dim; }
    std::string name() const {
        return fmt::format("{}x{}{}", rows, dim, scale == 1 ? "" : fmt::format(",{:g}", scale));
    }
};

inline std::vector<RmsNormCase> rms_norm_cases() {
    std::vector<RmsNormCase> cases;
    for (const std::int64_t dim : {1, 2, 15, 16, 17, 63, 64, 65, 100, 576, 1000}) {
        for (const float scale : {1e-12F, 1.0F, 1e12F}) cases.push_back({.dim = dim, .scale = scale});
    }
    for (const std::int64_t dim : kStreamWidths) add_steps(cases, {.dim = dim});
    return cases;
}

struct RmsNormCall {
    explicit RmsNormCall(const RmsNormCase& c)
        : rows(c.rows),
          dim(c.dim),
          stride(c.dim + (c.large ? 8 : 5)),
          out_stride(c.dim + (c.large ? 4 : 3)),
          noise(static_cast<std::uint64_t>(c.dim)),
          x(noise.vector(rows * stride, c.scale)),
          gain(noise.vector(dim, 2)),
          out(rows, dim, out_stride) {}
    RmsNormArgs args() { return {x.data(), stride, gain.data(), rows, dim, 1e-6F, out.data(), out_stride}; }

    std::int64_t rows, dim, stride, out_stride;
    Noise noise;
    std::vector<float> x, gain;
    Guarded<float> out;
};

struct SeamCase {
    std::int64_t rows = 5, dim = 0;
    bool post = false;
    bool large = false;
    std::int64_t elements() const { return rows * dim; }
    std::string name() const { return fmt::format("{}x{}{}", rows, dim, post ? ",post" : ""); }
};

inline std::vector<SeamCase> seam_cases() {
    std::vector<SeamCase> cases;
    for (const std::int64_t dim : {1, 16, 33, 64, 130, 1000}) {
        for (const bool post : {false, true}) cases.push_back({.dim = dim, .post = post});
    }
    for (const std::int64_t dim : kStreamWidths) add_steps(cases, {.dim = dim, .post = dim == 6144});
    return cases;
}

struct SeamCall {
    explicit SeamCall(const SeamCase& c)
        : size(c),
          noise(static_cast<std::uint64_t>(c.dim) + 100),
          x(noise.vector(c.rows * c.dim)),
          delta(noise.vector(c.rows * c.dim, 3)),
          gain(noise.vector(c.dim)),
          next(noise.vector(c.dim)),
          stream(c.rows, c.dim),
          out(c.rows, c.dim) {
        std::copy(x.begin(), x.end(), stream.data());
    }
    SeamArgs args() {
        return {stream.data(), delta.data(), size.post ? gain.data() : nullptr,
                next.data(),   size.rows,    size.dim,
                1e-6F,         out.data()};
    }

    SeamCase size;
    Noise noise;
    std::vector<float> x, delta, gain, next;
    Guarded<float> stream, out;
};

}  // namespace sluice::test
