#include "comm/collectives.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <utility>

namespace sluice {
namespace {

enum class Call : std::uint64_t { AllReduceSum, AllGather, Broadcast, Barrier, Split };

constexpr std::array kNames = {"all_reduce_sum", "all_gather", "broadcast", "barrier", "split"};

struct Record {
    Call call;
    std::uint64_t bytes = 0;
    std::uint64_t root = 0;
    bool operator==(const Record&) const = default;
};

std::string text_of(const Record& record) {
    const char* name = kNames[static_cast<std::size_t>(record.call)];
    if (record.call == Call::Barrier || record.call == Call::Split) return name;
    if (record.call == Call::Broadcast)
        return fmt::format("{} of {} bytes from rank {}", name, record.bytes, record.root);
    return fmt::format("{} of {} bytes", name, record.bytes);
}

class CheckedCommunicator final : public Communicator {
public:
    CheckedCommunicator(Communicator& inner, std::unique_ptr<Communicator> owned)
        : inner_(inner), owned_(std::move(owned)) {}

    int rank() const override { return inner_.rank(); }
    int size() const override { return inner_.size(); }
    void all_reduce_sum(std::span<float> inout) override {
        agree({Call::AllReduceSum, inout.size_bytes()});
        inner_.all_reduce_sum(inout);
    }
    void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
        agree({Call::AllGather, mine.size()});
        inner_.all_gather(mine, all);
    }
    void broadcast(std::span<std::byte> bytes, int root) override {
        agree({Call::Broadcast, bytes.size(), static_cast<std::uint64_t>(root)});
        inner_.broadcast(bytes, root);
    }
    void barrier() override {
        agree({Call::Barrier});
        inner_.barrier();
    }
    std::unique_ptr<Communicator> split(int color, int key) override {
        agree({Call::Split});
        return make_checked(inner_.split(color, key));
    }

private:
    void end_job(int code) override { inner_.abort(code); }

    void agree(const Record& mine) {
        const auto all = gather_values(inner_, mine);
        for (std::size_t other = 1; other < all.size(); ++other)
            expect(all[other] == all[0], "the ranks disagree: rank 0 calls {}, rank {} calls {}",
                   text_of(all[0]), other, text_of(all[other]));
    }

    Communicator& inner_;
    std::unique_ptr<Communicator> owned_;  // null when borrowed
};

}  // namespace

std::unique_ptr<Communicator> make_checked(Communicator& inner) {
    return std::make_unique<CheckedCommunicator>(inner, nullptr);
}

std::unique_ptr<Communicator> make_checked(std::unique_ptr<Communicator> inner) {
    Communicator& borrowed = *inner;
    return std::make_unique<CheckedCommunicator>(borrowed, std::move(inner));
}

}  // namespace sluice
