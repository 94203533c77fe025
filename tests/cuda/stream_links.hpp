// Links between the emulated devices of ranks that are threads, which only queue, as NCCL's do: what moves
// values is recorded with a step, and is done when that is replayed.
#pragma once

#include "backend/ops.hpp"
#include "comm/communicator.hpp"
#include "comm/device_sums.hpp"
#include "core/error.hpp"
#include "kernels/cuda/check.cuh"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include <cuda_runtime_api.h>

namespace sluice::test {

class StreamLinks final : public DeviceLinks {
public:
    StreamLinks(Communicator& ranks, const Ops& ops)
        : ranks_(ranks), stream_(static_cast<cudaStream_t>(ops.stream())) {}
    int rank() const override { return ranks_.rank(); }
    int size() const override { return ranks_.size(); }

    void all_gather(const float* mine, float* all, std::size_t each) override {
        upload(queue_gather(mine, each).all.data(), all, each * ranks());
    }
    void exchange(const float* parts, float* got, std::size_t each) override {
        const Gather& everything = queue_gather(parts, each * ranks());
        for (std::size_t from = 0; from < ranks(); ++from) {
            const std::size_t at = (from * ranks() + static_cast<std::size_t>(rank())) * each;
            upload(everything.all.data() + at, got + from * each, each);
        }
    }

private:
    // Ranks that meet must have queued the same call in the same way: NCCL relies on it.
    struct Call {
        int number = 0;
        bool recorded = false;
        bool operator==(const Call&) const = default;
    };
    struct Gather {
        Communicator& ranks;
        Call call;
        std::vector<float> mine, all;
    };

    std::size_t ranks() const { return static_cast<std::size_t>(size()); }

    const Gather& queue_gather(const float* mine, std::size_t count) {
        const Call call{static_cast<int>(gathers_.size()), emulation::recording == stream_};
        Gather& gather = gathers_.emplace_back(ranks_, call, std::vector<float>(count),
                                               std::vector<float>(count * ranks()));
        SLUICE_CUDA_CHECK(cudaMemcpyAsync(gather.mine.data(), mine, count * sizeof(float),
                                          cudaMemcpyDeviceToHost, stream_));
        SLUICE_CUDA_CHECK(cudaLaunchHostFunc(stream_, &run, &gather));
        return gather;
    }
    void upload(const float* from, float* to, std::size_t count) const {
        SLUICE_CUDA_CHECK(cudaMemcpyAsync(to, from, count * sizeof(float), cudaMemcpyHostToDevice, stream_));
    }
    static void run(void* data) {
        auto& gather = *static_cast<Gather*>(data);
        std::vector<Call> calls(static_cast<std::size_t>(gather.ranks.size()));
        gather.ranks.all_gather(std::as_bytes(std::span(&gather.call, 1)),
                                std::as_writable_bytes(std::span(calls)));
        expect(std::ranges::count(calls, gather.call) == std::ssize(calls),
               "the ranks' devices meet in different calls");
        gather.ranks.all_gather(std::as_bytes(std::span(gather.mine)),
                                std::as_writable_bytes(std::span(gather.all)));
    }

    Communicator& ranks_;
    cudaStream_t stream_;
    std::deque<Gather> gathers_;  // recordings use them as long as they live
};

inline std::unique_ptr<DeviceLinks> link_by_stream(Communicator& ranks, const Ops& ops) {
    return std::make_unique<StreamLinks>(ranks, ops);
}

}  // namespace sluice::test
