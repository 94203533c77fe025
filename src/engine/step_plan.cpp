#include "engine/step_plan.hpp"

#include "core/error.hpp"

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace sluice {
namespace {

class Packer {
public:
    template <class T>
    void value(const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        const auto* begin = reinterpret_cast<const std::byte*>(&value);
        bytes.insert(bytes.end(), begin, begin + sizeof(T));
    }
    template <class T>
    void list(const std::vector<T>& values) {
        static_assert(std::is_trivially_copyable_v<T>);
        value(static_cast<std::uint64_t>(values.size()));
        const auto* begin = reinterpret_cast<const std::byte*>(values.data());
        bytes.insert(bytes.end(), begin, begin + values.size() * sizeof(T));
    }

    std::vector<std::byte> bytes;
};

class Unpacker {
public:
    explicit Unpacker(std::span<const std::byte> bytes) : rest_(bytes) {}

    template <class T>
    void value(T& value) {
        std::memcpy(&value, next(sizeof(T)), sizeof(T));
    }
    template <class T>
    void list(std::vector<T>& values) {
        std::uint64_t count = 0;
        value(count);
        expect(count <= rest_.size() / sizeof(T), "a step plan is short of {} values", count);
        values.resize(count);
        if (count > 0) std::memcpy(values.data(), next(count * sizeof(T)), count * sizeof(T));
    }
    bool done() const { return rest_.empty(); }

private:
    const std::byte* next(std::size_t count) {
        expect(count <= rest_.size(), "a step plan is {} bytes short", count - rest_.size());
        const std::byte* begin = rest_.data();
        rest_ = rest_.subspan(count);
        return begin;
    }

    std::span<const std::byte> rest_;
};

// Both directions walk the fields in one order.
template <class Walker, class Plan>
void walk(Walker& walker, Plan& plan) {
    walker.value(plan.stop);
    walker.list(plan.step.tokens);
    walker.list(plan.step.positions);
    walker.list(plan.step.slots);
    walker.list(plan.step.sequences);
    walker.list(plan.step.pages);
    walker.list(plan.step.masked);
    walker.list(plan.step.logit_rows);
    walker.value(plan.step.by_operation);
}

}  // namespace

std::vector<std::byte> to_bytes(const StepPlan& plan) {
    Packer packer;
    walk(packer, plan);
    packer.value(static_cast<std::uint64_t>(plan.samples.size()));
    for (const SampleRow& sample : plan.samples) {
        packer.value(sample.choice);
        packer.list(sample.seen);
        packer.value(sample.logprobs);
        packer.value(sample.target);
    }
    return std::move(packer.bytes);
}

StepPlan plan_from_bytes(std::span<const std::byte> bytes) {
    Unpacker unpacker(bytes);
    StepPlan plan;
    walk(unpacker, plan);
    std::uint64_t samples = 0;
    unpacker.value(samples);
    expect(samples <= bytes.size(), "a step plan is short of {} samples", samples);
    plan.samples.resize(samples);
    for (SampleRow& sample : plan.samples) {
        unpacker.value(sample.choice);
        unpacker.list(sample.seen);
        unpacker.value(sample.logprobs);
        unpacker.value(sample.target);
    }
    expect(unpacker.done(), "a step plan with bytes left over");
    return plan;
}

}  // namespace sluice
