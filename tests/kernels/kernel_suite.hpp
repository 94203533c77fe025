// What the suites over all implementations of an operation share.
#pragma once

#include "kernels/cases.hpp"
#include "kernels/kernel.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace sluice::test {

// Half the distance from 1 to the next float32: the rounding error of one operation.
inline constexpr double kUnit = 0x1p-24;

// With the workspace that it asks for; returns when it has ended.
template <class Args>
void run_to_end(const Kernel<Args>& kernel, const Args& args, int threads = 1) {
    std::vector<std::byte> workspace(workspace_of(kernel, args));
    const Execution execution{threads, nullptr, workspace.data(), workspace.size()};
    kernel.run(args, execution);
    synchronize(kernel.family, execution);
}

// A suite whose parameter is an index into kernels<Args>().
template <class Args>
class KernelSuite : public testing::TestWithParam<std::size_t> {
protected:
    static const Kernel<Args>& at(std::size_t i) { return sluice::kernels::kernels<Args>()[i]; }
    void SetUp() override {
        if (!at(GetParam()).fits({}, this_machine())) GTEST_SKIP() << "this machine cannot run it";
    }
    void run(const Args& args, int threads = 1) const { run_to_end(at(GetParam()), args, threads); }
    static void reference(const Args& args) { choose(Family::Reference, args, this_machine()).run(args, {}); }
};

template <class Args>
auto every_kernel() {
    return testing::Range<std::size_t>(0, sluice::kernels::kernels<Args>().size());
}
template <class Args>
std::string kernel_name(const testing::TestParamInfo<std::size_t>& info) {
    std::string name(sluice::kernels::kernels<Args>()[info.param].name);
    for (char& c : name) {
        if (c == '.') c = '_';
    }
    return name;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace sluice::test

#define SLUICE_EVERY_KERNEL(Suite, Args) \
    INSTANTIATE_TEST_SUITE_P(Every, Suite, every_kernel<Args>(), kernel_name<Args>)
