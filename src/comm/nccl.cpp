#include "comm/nccl.hpp"

#include "comm/collectives.hpp"
#include "comm/placement.hpp"
#include "comm/rank_state.hpp"

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {
namespace {

static_assert(NCCL_VERSION_CODE >= NCCL_VERSION(2, 9, 0), "older ones cannot be recorded");

std::string_view name_of(std::string_view file) { return file.substr(file.rfind('/') + 1); }

// To the heartbeat, as the ranks' other collectives are; the number of no group but by a rare chance.
constexpr std::uint32_t kNcclGroup = 0x6e63636c;

class NcclLinks final : public DeviceLinks {
public:
    NcclLinks(Communicator& ranks, void* stream)
        : rank_(ranks.rank()), size_(ranks.size()), stream_(static_cast<cudaStream_t>(stream)) {
        ncclUniqueId id{};
        run_together(ranks, "starting NCCL", [&] {
            if (rank_ == 0) check(ncclGetUniqueId(&id), "ncclGetUniqueId");
        });
        ranks.broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
        const InCollective here("ncclCommInitRank", kNcclGroup, 1, 0);
        check(ncclCommInitRank(&comm_, size_, id, rank_), "ncclCommInitRank");
        probe_.emplace([this] { return problem(); });
    }
    NcclLinks(const NcclLinks&) = delete;
    NcclLinks& operator=(const NcclLinks&) = delete;
    // A rank that fails must not wait for the others.
    ~NcclLinks() override {
        probe_.reset();
        if (std::uncaught_exceptions() > 0) {
            ncclCommAbort(comm_);
            return;
        }
        const InCollective here("ncclCommDestroy", kNcclGroup, 2, 0);
        ncclCommDestroy(comm_);
    }

    int rank() const override { return rank_; }
    int size() const override { return size_; }

    void all_gather(const float* mine, float* all, std::size_t each) override {
        check(ncclAllGather(mine, all, each, ncclFloat32, comm_, stream_), "ncclAllGather");
    }

    void exchange(const float* parts, float* got, std::size_t each) override {
        check(ncclGroupStart(), "ncclGroupStart");
        for (int other = 0; other < size_; ++other) {
            const std::size_t at = static_cast<std::size_t>(other) * each;
            check(ncclSend(parts + at, each, ncclFloat32, other, comm_, stream_), "ncclSend");
            check(ncclRecv(got + at, each, ncclFloat32, other, comm_, stream_), "ncclRecv");
        }
        check(ncclGroupEnd(), "ncclGroupEnd");
    }

private:
    void check(ncclResult_t result, const char* what, std::string_view file = __builtin_FILE(),
               int line = __builtin_LINE()) const {
        if (result == ncclSuccess) return;
        fail(ExitCode::Internal, "{} failed on rank {} of {} (host {}): {}: {} ({}:{})", what, rank_, size_,
             host_name(), ncclGetErrorString(result), ncclGetLastError(comm_), name_of(file), line);
    }

    // From the heartbeat's thread: what NCCL's own threads have met since.
    std::string problem() const {
        ncclResult_t met = ncclSuccess;
        const ncclResult_t asked = ncclCommGetAsyncError(comm_, &met);
        const ncclResult_t result = asked != ncclSuccess ? asked : met;
        if (result == ncclSuccess || result == ncclInProgress) return "";
        return fmt::format("NCCL failed on rank {} of {} (host {}): {}: {}", rank_, size_, host_name(),
                           ncclGetErrorString(result), ncclGetLastError(comm_));
    }

    int rank_;
    int size_;
    cudaStream_t stream_;
    ncclComm_t comm_ = nullptr;
    std::optional<TransportProbe> probe_;  // while comm_ can be asked
};

}  // namespace

std::string nccl_obstacle(std::span<const DeviceRecord> all) {
    const std::string shared = shared_devices(all);
    return shared.empty() ? "" : "NCCL needs a GPU for every rank, but " + shared;
}

std::unique_ptr<DeviceLinks> make_nccl_links(Communicator& ranks, void* stream) {
    return std::make_unique<NcclLinks>(ranks, stream);
}

}  // namespace sluice
