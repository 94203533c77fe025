// Links between the devices of ranks that are threads, in place of NCCL's: values move by way of the host.
#pragma once

#include "backend/ops.hpp"
#include "comm/communicator.hpp"
#include "comm/device_sums.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace sluice::test {

class HostLinks final : public DeviceLinks {
public:
    HostLinks(Communicator& ranks, const Ops& ops) : ranks_(ranks), ops_(ops) {}
    int rank() const override { return ranks_.rank(); }
    int size() const override { return ranks_.size(); }
    bool can_be_recorded() const override { return false; }

    void all_gather(const float* mine, float* all, std::size_t each) override {
        put(of_all_ranks(mine, each), all);
    }
    void exchange(const float* parts, float* got, std::size_t each) override {
        const auto ranks = static_cast<std::size_t>(size());
        const std::vector<float> everything = of_all_ranks(parts, each * ranks);
        std::vector<float> mine(each * ranks);
        for (std::size_t from = 0; from < ranks; ++from)
            std::copy_n(everything.data() + (from * ranks + static_cast<std::size_t>(rank())) * each, each,
                        mine.data() + from * each);
        put(mine, got);
    }

private:
    std::vector<float> of_all_ranks(const float* mine, std::size_t count) const {
        std::vector<float> own(count), all(count * static_cast<std::size_t>(size()));
        ops_.download(mine, own.data(), count * sizeof(float));
        ranks_.all_gather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)));
        return all;
    }
    void put(const std::vector<float>& values, float* here) const {
        ops_.upload(values.data(), here, values.size() * sizeof(float));
        ops_.synchronize();
    }

    Communicator& ranks_;
    const Ops& ops_;
};

inline std::unique_ptr<DeviceLinks> link_by_host(Communicator& ranks, const Ops& ops) {
    return std::make_unique<HostLinks>(ranks, ops);
}

}  // namespace sluice::test
