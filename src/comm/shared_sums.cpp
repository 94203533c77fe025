#include "comm/shared_sums.hpp"

#include "comm/collectives.hpp"
#include "comm/shared_memory.hpp"
#include "comm/shared_window.hpp"
#include "comm/tree_sum.hpp"
#include "core/log.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {
namespace {

// Up to here, one meeting less beats fewer bytes.
constexpr std::size_t kSmallSum = 4096;
// Bytes from which on a broadcast by messages, which copies once, is better than copying in and out.
constexpr std::size_t kLargeBroadcast = std::size_t{1} << 20;
constexpr std::size_t kPiece = SharedWindow::kSlotBytes;

enum class Call : std::uint64_t { AllReduceSum, AllGather, Broadcast, Barrier };

std::uint64_t call_of(Call call, std::size_t bytes, int root = 0) {
    return static_cast<std::uint64_t>(bytes) << 16 ^ static_cast<std::uint64_t>(root) << 2 ^
           static_cast<std::uint64_t>(call);
}

class SharedCommunicator final : public Communicator {
public:
    SharedCommunicator(std::unique_ptr<Communicator> messages, SharedWindow window)
        : messages_(std::move(messages)), window_(std::move(window)) {}

    int rank() const override { return messages_->rank(); }
    int size() const override { return messages_->size(); }

    void all_reduce_sum(std::span<float> inout) override {
        constexpr std::size_t kMost = kPiece / sizeof(float);
        const std::uint64_t call = call_of(Call::AllReduceSum, inout.size_bytes());
        for (std::size_t first = 0; first < inout.size(); first += kMost) {
            const auto piece = inout.subspan(first, std::min(kMost, inout.size() - first));
            std::memcpy(window_.slot(), piece.data(), piece.size_bytes());
            window_.meet(call);
            if (size() == 2 || piece.size() <= kSmallSum)
                tree_sum(shown(), piece.data(), piece.size());
            else
                sum_by_shares(piece, call);
        }
    }

    void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
        expect(all.size() == mine.size() * static_cast<std::size_t>(size()),
               "all_gather of {} bytes over {} ranks into {} bytes", mine.size(), size(), all.size());
        const std::uint64_t call = call_of(Call::AllGather, mine.size());
        for (std::size_t first = 0; first < mine.size(); first += kPiece) {
            const auto piece = mine.subspan(first, std::min(kPiece, mine.size() - first));
            std::memcpy(window_.slot(), piece.data(), piece.size());
            window_.meet(call);
            for (int other = 0; other < size(); ++other) {
                const std::size_t place = static_cast<std::size_t>(other) * mine.size() + first;
                std::memcpy(all.data() + place, window_.slot_of(other), piece.size());
            }
        }
    }

    void broadcast(std::span<std::byte> bytes, int root) override {
        if (bytes.size() >= kLargeBroadcast) return messages_->broadcast(bytes, root);
        expect(root >= 0 && root < size(), "broadcast from rank {} of {}", root, size());
        const std::uint64_t call = call_of(Call::Broadcast, bytes.size(), root);
        for (std::size_t first = 0; first < bytes.size(); first += kPiece) {
            const auto piece = bytes.subspan(first, std::min(kPiece, bytes.size() - first));
            if (rank() == root) std::memcpy(window_.slot(), piece.data(), piece.size());
            window_.meet(call);
            if (rank() != root) std::memcpy(piece.data(), window_.slot_of(root), piece.size());
        }
    }

    void barrier() override { window_.meet(call_of(Call::Barrier, 0)); }

    std::unique_ptr<Communicator> split(int color, int key) override { return messages_->split(color, key); }

private:
    void end_job(int code) override { messages_->abort(code); }

    // Every rank's floats.
    std::span<const float* const> shown() {
        shown_.clear();
        for (int other = 0; other < size(); ++other)
            shown_.push_back(reinterpret_cast<const float*>(window_.slot_of(other)));
        return shown_;
    }

    // Each rank sums its share and shows it to all.
    void sum_by_shares(std::span<float> piece, std::uint64_t call) {
        const Share mine = share_of(piece.size(), rank(), size());
        shown();
        for (const float*& part : shown_) part += mine.first;
        tree_sum(shown_, reinterpret_cast<float*>(window_.slot()), mine.count);
        window_.meet(call);
        for (int other = 0; other < size(); ++other) {
            const Share share = share_of(piece.size(), other, size());
            std::memcpy(piece.data() + share.first, window_.slot_of(other), share.count * sizeof(float));
        }
    }

    std::unique_ptr<Communicator> messages_;
    SharedWindow window_;
    std::vector<const float*> shown_;
};

bool wants_shared_memory() {
    const char* text = std::getenv("SLUICE_SHARED_MEMORY");
    const std::string_view wish = text == nullptr ? "on" : text;
    require(wish == "on" || wish == "off", ExitCode::Usage,
            "SLUICE_SHARED_MEMORY={}: expected on or off (or leave it unset)", wish);
    return wish == "on";
}

bool wanted_by_all(Communicator& ranks) {
    bool mine = true;
    run_together(ranks, "looking at SLUICE_SHARED_MEMORY", [&] { mine = wants_shared_memory(); });
    const auto wishes = gather_values(ranks, mine ? 1 : 0);
    return std::ranges::find(wishes, 0) == wishes.end();
}

}  // namespace

bool is_crowded(std::span<const MachineRecord> all, int rank) {
    std::vector<MachineRecord> here;
    std::ranges::copy_if(all, std::back_inserter(here), [&](const MachineRecord& other) {
        return other.machine == all[static_cast<std::size_t>(rank)].machine;
    });
    for (std::size_t each = 0; each < here.size(); ++each)
        if (share_of_cpus(here, static_cast<int>(each)) < 1) return true;
    return false;
}

int block_of(std::span<const MachineRecord> records) {
    const auto same = [](const MachineRecord& a, const MachineRecord& b) { return a.machine == b.machine; };
    const auto end =
        std::ranges::find_if_not(records, [&](const auto& each) { return same(each, records[0]); });
    const auto block = static_cast<std::size_t>(end - records.begin());
    if (block == records.size()) return static_cast<int>(block);
    if (!std::has_single_bit(block) || records.size() % block != 0) return 1;
    for (std::size_t rank = 0; rank < records.size(); ++rank) {
        const std::size_t first = rank / block * block;
        if (!same(records[rank], records[first])) return 1;
        if (first > 0 && same(records[first], records[first - block])) return 1;
    }
    return static_cast<int>(block);
}

std::unique_ptr<Communicator> make_shared_sums(std::unique_ptr<Communicator> messages, bool crowded,
                                               std::function<void()> while_waiting) {
    if (!wanted_by_all(*messages) || messages->size() == 1) return messages;
    const int block = block_of(gather_values(*messages, this_machine()));
    if (block == 1) return messages;
    if (block < messages->size()) return make_in_blocks(std::move(messages), block);

    std::string problem;
    auto memory = share_memory(*messages, SharedWindow::kRankBytes, problem);
    if (memory == nullptr) {
        if (messages->rank() == 0) log_info("no shared memory, so ranks send messages: {}", problem);
        return messages;
    }
    SharedWindow window(std::move(memory), messages->rank(), messages->size(), crowded,
                        std::move(while_waiting));
    return std::make_unique<SharedCommunicator>(std::move(messages), std::move(window));
}

}  // namespace sluice
