#include "model/rank_sums.hpp"

#include <utility>
#include <vector>

namespace sluice {
namespace {

// What operations work on, as sums see it.
class OpsDevice final : public SumDevice {
public:
    explicit OpsDevice(const Ops& ops) : ops_(ops) {}

    float* memory(std::size_t count) override { return room(ops_.memory(), count); }
    float* host_memory(std::size_t count) override { return room(ops_.staging(), count); }
    void download(const float* from, float* to, std::size_t count) override {
        ops_.queue_download(from, to, count * sizeof(float));
    }
    void upload(const float* from, float* to, std::size_t count) override {
        ops_.upload(from, to, count * sizeof(float));
    }
    void add_parts(const float* parts, int count, std::size_t each, float* into) override {
        const auto width = static_cast<std::int64_t>(each);
        const Place place = ops_.memory().place();
        ops_.add_parts({parts, DType::F32, place, {count, width}, width},
                       dense_view(into, DType::F32, {width}, place));
    }
    void wait() override { ops_.synchronize(); }

private:
    float* room(Memory& memory, std::size_t count) {
        return rooms_.emplace_back(memory, DType::F32, Shape{static_cast<std::int64_t>(count)})
            .view()
            .as<float>();
    }

    const Ops& ops_;
    std::vector<Tensor> rooms_;
};

// Tells the clock of the operations of what is moved between them.
class TimedLinks final : public DeviceLinks {
public:
    TimedLinks(const Ops& ops, std::unique_ptr<DeviceLinks> links) : ops_(ops), links_(std::move(links)) {}

    int rank() const override { return links_->rank(); }
    int size() const override { return links_->size(); }
    bool can_be_recorded() const override { return links_->can_be_recorded(); }
    void all_gather(const float* mine, float* all, std::size_t each) override {
        ops_.timed(kLinksName, [&] { links_->all_gather(mine, all, each); });
    }
    void exchange(const float* parts, float* got, std::size_t each) override {
        ops_.timed(kLinksName, [&] { links_->exchange(parts, got, each); });
    }

private:
    const Ops& ops_;
    std::unique_ptr<DeviceLinks> links_;
};

}  // namespace

std::unique_ptr<DeviceSums> make_rank_sums(const Ops& ops, Communicator& ranks,
                                           std::unique_ptr<DeviceLinks> links) {
    if (ops.memory().place() == Place::Host) return make_host_sums(ranks);
    auto device = std::make_unique<OpsDevice>(ops);
    if (links == nullptr) return make_staged_sums(ranks, std::move(device));
    return make_linked_sums(std::make_unique<TimedLinks>(ops, std::move(links)), std::move(device));
}

}  // namespace sluice
