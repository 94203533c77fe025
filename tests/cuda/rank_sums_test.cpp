// Ranks that are threads and share a GPU, emulated or true: their sums, and whole small models on them,
// against the sums of the host and one rank. Linked ranks add on the device, as over NCCL.
#include "model/rank_sums.hpp"
#include "backend/devices.hpp"
#include "comm/tree_sum.hpp"
#include "core/error.hpp"
#include "cuda/host_links.hpp"
#include "jobs/compute_device.hpp"
#include "support/small_model.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <tuple>
#include <vector>

namespace sluice::test {
namespace {

using kernels::Family;

// Signs and sizes differ much, and some are zeros of either sign: another order shows in the bits.
std::vector<float> values_of(std::size_t count, int seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    std::vector<float> values(count);
    for (float& value : values) {
        const float sign = random() % 2 == 0 ? 1.0F : -1.0F;
        value = std::ldexp(sign * static_cast<float>(random() % 8), static_cast<int>(random() % 40) - 20);
    }
    return values;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class CudaSums : public testing::Test {
protected:
    void SetUp() override {
        if (const std::string missing = cuda_obstacle(); !missing.empty()) GTEST_SKIP() << missing;
    }
    static Tensor on_device(const Ops& ops, const std::vector<float>& values) {
        return ops.filled(DType::F32, {std::ssize(values)},
                          [&](View view) { std::ranges::copy(values, view.as<float>()); });
    }
    static std::vector<float> on_host(const Ops& ops, View view) {
        std::vector<float> values(static_cast<std::size_t>(view.shape.elements()));
        ops.download(view.data, values.data(), values.size() * sizeof(float));
        return values;
    }
};

TEST_F(CudaSums, AddPartsInTheOrderOfTheTree) {
    const Ops ops(Family::Cuda, 1);
    for (const int count : {2, 3, 5, 8, 64}) {
        for (const std::int64_t width : {1, 403, 1024}) {
            const auto each = static_cast<std::size_t>(width);
            const std::vector<float> parts = values_of(static_cast<std::size_t>(count) * each, count);
            std::vector<const float*> all;
            for (int part = 0; part < count; ++part)
                all.push_back(parts.data() + static_cast<std::size_t>(part) * each);
            std::vector<float> want(each);
            tree_sum(all, want.data(), each);

            const Tensor here = on_device(ops, parts);
            const Tensor sum(ops.memory(), DType::F32, {width});
            ops.add_parts({here.view().data, DType::F32, Place::Cuda, {count, width}, width}, sum.view());
            EXPECT_TRUE(same_bits(on_host(ops, sum.view()), want)) << count << " parts of " << width;
        }
    }
}

// 40'000 values are summed in shares where ranks are linked, with a rest that every rank sums.
TEST_F(CudaSums, HaveTheBitsOfTheHosts) {
    for (const bool linked : {true, false}) {
        for (const int size : {1, 2, 3, 4}) {
            run_on_threads(size, [&](Communicator& ranks) {
                const Ops ops(Family::Cuda, 1);
                const auto sums = make_rank_sums(ops, ranks, linked ? link_by_host(ranks, ops) : nullptr);
                for (const std::size_t count : {1, 405, 40'001}) {
                    std::vector<float> want = values_of(count, ranks.rank());
                    const Tensor here = on_device(ops, want);
                    sums->all_reduce_sum(here.view().as<float>(), count);
                    sums->wait();
                    ranks.all_reduce_sum(want);
                    EXPECT_TRUE(same_bits(on_host(ops, here.view()), want))
                        << count << " values on rank " << ranks.rank() << " of " << size << ", linked "
                        << linked;
                }
            });
        }
    }
}

// Gives what two ranks have where both have the same; queued, as NCCL's calls are.
class Mirrors final : public DeviceLinks {
public:
    explicit Mirrors(const Ops& ops) : ops_(ops) {}
    int rank() const override { return 0; }
    int size() const override { return 2; }
    void all_gather(const float* mine, float* all, std::size_t each) override {
        for (float* to : {all, all + each}) ops_.upload(mine, to, each * sizeof(float));
    }
    void exchange(const float* parts, float* got, std::size_t each) override { all_gather(parts, got, each); }

private:
    const Ops& ops_;
};

// What GPUs exchange is told apart from what they compute: a small sum by one call, a large one by two.
TEST_F(CudaSums, TellTheClockOfWhatLinksMove) {
    OpClock clock;
    const Ops ops(Family::Cuda, 1, &clock);
    const auto self = make_self();
    const auto sums = make_rank_sums(ops, *self, std::make_unique<Mirrors>(ops));
    const Tensor here = on_device(ops, std::vector<float>(40'000, 3));
    sums->all_reduce_sum(here.view().as<float>(), 400);
    sums->wait();
    ASSERT_EQ(clock.totals().count(kLinksName), 1U);
    EXPECT_EQ(clock.totals().at(kLinksName).calls, 1);
    EXPECT_EQ(on_host(ops, here.view())[399], 6);
    sums->all_reduce_sum(here.view().as<float>(), 40'000);
    sums->wait();
    EXPECT_EQ(clock.totals().at(kLinksName).calls, 3);
    EXPECT_GT(clock.totals().at(kLinksName).seconds, 0);
}

// The logits of all ranks, side by side as one rank has them: [rows, vocabulary].
std::vector<float> logits_on(int size, const std::string& model, bool linked) {
    constexpr int kRows = 4;
    std::vector<float> whole;
    std::vector<std::vector<float>> columns(static_cast<std::size_t>(size));
    std::vector<std::int64_t> widths(columns.size());
    run_on_threads(size, [&](Communicator& ranks) {
        SmallModelOptions options;
        options.family = Family::Cuda;
        options.rows = options.logit_rows = kRows;
        options.pages = 1;
        if (linked) options.links = link_by_host;
        SmallModel mine(model, options, ranks);
        std::vector<std::int32_t> ids;
        for (int i = 0; i < kRows; ++i) ids.push_back((i * i * 7 + 11 * i + 5) % mine.config().vocab);
        const auto rank = static_cast<std::size_t>(ranks.rank());
        columns[rank] = mine.logits(ids);
        widths[rank] = mine.local_vocabulary();
    });
    for (int row = 0; row < kRows; ++row) {
        for (std::size_t rank = 0; rank < columns.size(); ++rank) {
            const float* begin = columns[rank].data() + row * widths[rank];
            whole.insert(whole.end(), begin, begin + widths[rank]);
        }
    }
    return whole;
}

class CudaRanks : public CudaSums, public testing::WithParamInterface<std::tuple<const char*, int>> {};

TEST_P(CudaRanks, HaveTheBitsOfOne) {
    const auto [model, size] = GetParam();
    const std::vector<float> one = logits_on(1, model, false);
    EXPECT_TRUE(same_bits(logits_on(size, model, true), one)) << "linked";
    EXPECT_TRUE(same_bits(logits_on(size, model, false), one)) << "by way of the host";
}

INSTANTIATE_TEST_SUITE_P(Models, CudaRanks,
                         testing::Values(std::tuple{"v3", 2}, std::tuple{"v3", 4}, std::tuple{"llama", 2}),
                         [](const auto& test) {
                             return fmt::format("{}_on_{}", std::get<0>(test.param), std::get<1>(test.param));
                         });

std::string refusal_of(int size, const std::string& device, const std::string& comm) {
    try {
        run_on_threads(size, [&](Communicator& ranks) {
            choose_compute_device(ranks, device, comm, find_placement(ranks));
        });
    } catch (const Error& refused) {
        EXPECT_EQ(refused.code(), ExitCode::Usage);
        return refused.what();
    }
    return "";
}

TEST_F(CudaSums, RanksThatShareAGpuAreNotLinked) {
    EXPECT_THAT(refusal_of(2, "cuda", "nccl"),
                testing::AnyOf(testing::ContainsRegex("--comm nccl: .*ranks 0 and 1 share GPU .* of host .*"
                                                      "--comm mpi"),
                               testing::HasSubstr("--comm nccl: this program was built without NCCL")));
    EXPECT_THAT(refusal_of(2, "cpu", "nccl"), testing::HasSubstr("--comm nccl links GPUs"));
    for (const char* comm : {"auto", "mpi"}) {
        run_on_threads(2, [&](Communicator& ranks) {
            const ComputeDevice chosen = choose_compute_device(ranks, "cuda", comm, find_placement(ranks));
            EXPECT_FALSE(chosen.linked);
            EXPECT_EQ(chosen.sharing, 2);
            EXPECT_EQ(chosen.unlinked.empty(), comm == std::string("mpi")) << chosen.unlinked;
        });
    }
    run_on_threads(1, [](Communicator& one) {
        const ComputeDevice chosen = choose_compute_device(one, "cuda", "auto", find_placement(one));
        EXPECT_FALSE(chosen.linked);
        EXPECT_EQ(chosen.unlinked, "");
    });
}

TEST_F(CudaSums, RanksWithDifferentOptionsAreRefused) {
    try {
        run_on_threads(2, [](Communicator& ranks) {
            choose_compute_device(ranks, "cuda", ranks.rank() == 0 ? "auto" : "mpi", find_placement(ranks));
        });
        FAIL() << "they would wait for one another";
    } catch (const Error& refused) {
        EXPECT_THAT(
            refused.what(),
            testing::HasSubstr("rank 0 has --device cuda --comm auto, rank 1 has --device cuda --comm mpi"));
    }
}

}  // namespace
}  // namespace sluice::test
