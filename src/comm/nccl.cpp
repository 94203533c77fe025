#include "comm/nccl.hpp"

#include "comm/collectives.hpp"
#include "comm/placement.hpp"
#include "comm/rank_state.hpp"
#include "comm/shared_devices.hpp"

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <array>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {
namespace {

std::string_view name_of(std::string_view file) { return file.substr(file.rfind('/') + 1); }

void check(cudaError_t result, const char* what, std::string_view file = __builtin_FILE(),
           int line = __builtin_LINE()) {
    if (result == cudaSuccess) return;
    fail(ExitCode::Internal, "{} failed (host {}): {}: {} ({}:{})", what, host_name(),
         cudaGetErrorName(result), cudaGetErrorString(result), name_of(file), line);
}

void require_own_devices(Communicator& ranks, int device) {
    std::array<char, 32> bus{};
    run_together(ranks, "looking for GPUs", [&] {
        check(cudaDeviceGetPCIBusId(bus.data(), static_cast<int>(bus.size()), device),
              "cudaDeviceGetPCIBusId");
    });
    const std::string shared = shared_devices(gather_values(ranks, this_device(bus.data())));
    if (shared.empty()) return;
    throw AgreedError(ExitCode::Usage,
                      fmt::format("NCCL needs a GPU for every rank, but {}: start no more ranks on a machine "
                                  "than it has GPUs, or take --comm mpi, which sums by way of the host",
                                  shared));
}

class NcclLinks final : public DeviceLinks {
public:
    NcclLinks(Communicator& ranks, int device, void* stream)
        : rank_(ranks.rank()), size_(ranks.size()), stream_(static_cast<cudaStream_t>(stream)) {
        require_own_devices(ranks, device);
        ncclUniqueId id{};
        run_together(ranks, "starting NCCL", [&] {
            if (rank_ == 0) check(ncclGetUniqueId(&id), "ncclGetUniqueId");
        });
        ranks.broadcast(std::as_writable_bytes(std::span(&id, 1)), 0);
        check(ncclCommInitRank(&comm_, size_, id, rank_), "ncclCommInitRank");
        probe_.emplace([this] { return problem(); });
    }
    NcclLinks(const NcclLinks&) = delete;
    NcclLinks& operator=(const NcclLinks&) = delete;
    // A rank that fails must not wait for the others.
    ~NcclLinks() override {
        probe_.reset();
        if (std::uncaught_exceptions() == 0)
            ncclCommDestroy(comm_);
        else
            ncclCommAbort(comm_);
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

std::unique_ptr<DeviceLinks> make_nccl_links(Communicator& ranks, int device, void* stream) {
    return std::make_unique<NcclLinks>(ranks, device, stream);
}

}  // namespace sluice
