#include "comm/collectives.hpp"
#include "comm/communicator.hpp"
#include "comm/placement.hpp"
#include "comm/shared_sums.hpp"
#include "comm/tree_sum.hpp"

// The C interface only: the C++ one is gone since MPI 3 and would need its own library.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

namespace sluice {
namespace {

// Sums go through in pieces: their scratch stays small, and no count comes near MPI's limit of 2^31 - 1.
constexpr std::size_t kSumPiece = std::size_t{1} << 20;
// Up to here, fewer messages beat fewer bytes.
constexpr std::size_t kSmallSum = 2048;
// Bytes in one MPI call.
constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

// clang-tidy 14 knows these built-ins, but not std::source_location.
void check(int result, const char* what, std::string_view file = __builtin_FILE(),
           int line = __builtin_LINE()) {
    if (result == MPI_SUCCESS) return;
    std::string text(MPI_MAX_ERROR_STRING, '\0');
    int length = 0;
    int rank = 0;
    int size = 0;
    MPI_Error_string(result, text.data(), &length);
    text.resize(static_cast<std::size_t>(length));
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    fail(ExitCode::Internal, "{} failed on rank {} of {} (host {}): {} ({}:{})", what, rank, size,
         host_name(), text, file.substr(file.rfind('/') + 1), line);
}

// MPI itself, as long as a communicator lives. A rank that is failing leaves without a word: finalizing would
// wait for the others, and the launcher ends them when a rank leaves like that.
class Session {
public:
    Session(int* argc, char*** argv) {
        int provided = MPI_THREAD_SINGLE;
        check(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
        check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
        require(provided >= MPI_THREAD_FUNNELED, ExitCode::Usage,
                "this MPI library does not allow threads (level {}, needed {})", provided,
                MPI_THREAD_FUNNELED);
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() {
        if (std::uncaught_exceptions() == 0) MPI_Finalize();
    }
};

// Takes over `comm`. `crowded`: as make_shared_sums().
std::unique_ptr<Communicator> make_ranks(std::shared_ptr<Session> session, MPI_Comm comm, bool crowded);

// By messages alone.
class MpiCommunicator final : public Communicator {
public:
    // Takes over `comm`.
    MpiCommunicator(std::shared_ptr<Session> session, MPI_Comm comm, bool crowded)
        : session_(std::move(session)), comm_(comm), crowded_(crowded) {
        check(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
        check(MPI_Comm_rank(comm_, &rank_), "MPI_Comm_rank");
        check(MPI_Comm_size(comm_, &size_), "MPI_Comm_size");
    }
    // Freeing is collective, too.
    ~MpiCommunicator() override {
        if (std::uncaught_exceptions() == 0) MPI_Comm_free(&comm_);
    }

    int rank() const override { return rank_; }
    int size() const override { return size_; }

    void all_reduce_sum(std::span<float> inout) override {
        if (size_ == 1) return;
        for (std::size_t first = 0; first < inout.size(); first += kSumPiece) {
            const auto piece = inout.subspan(first, std::min(kSumPiece, inout.size() - first));
            if (scratch_.size() < piece.size()) scratch_.resize(piece.size());
            if (!std::has_single_bit(static_cast<unsigned>(size_)))
                sum_any(piece);
            else if (piece.size() <= kSmallSum)
                sum_small(piece);
            else
                sum_large(piece);
        }
    }

    void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
        expect(all.size() == mine.size() * static_cast<std::size_t>(size_),
               "all_gather of {} bytes over {} ranks into {} bytes", mine.size(), size_, all.size());
        if (mine.size() <= kMaxBytes) {
            const int count = static_cast<int>(mine.size());
            check(MPI_Allgather(mine.data(), count, MPI_BYTE, all.data(), count, MPI_BYTE, comm_),
                  "MPI_Allgather");
            return;
        }
        for (int root = 0; root < size_; ++root) {
            const auto part = all.subspan(static_cast<std::size_t>(root) * mine.size(), mine.size());
            if (root == rank_) std::ranges::copy(mine, part.begin());
            broadcast(part, root);
        }
    }

    void broadcast(std::span<std::byte> bytes, int root) override {
        for (std::size_t first = 0; first < bytes.size(); first += kMaxBytes) {
            const int count = static_cast<int>(std::min(kMaxBytes, bytes.size() - first));
            check(MPI_Bcast(bytes.data() + first, count, MPI_BYTE, root, comm_), "MPI_Bcast");
        }
    }

    void barrier() override { check(MPI_Barrier(comm_), "MPI_Barrier"); }

    std::unique_ptr<Communicator> split(int color, int key) override {
        expect(color >= 0, "split with color {}", color);
        MPI_Comm part = MPI_COMM_NULL;
        check(MPI_Comm_split(comm_, color, key, &part), "MPI_Comm_split");
        return make_ranks(session_, part, crowded_);
    }

private:
    void end_job(int code) override {
        std::fflush(nullptr);
        MPI_Abort(MPI_COMM_WORLD, code);
        std::_Exit(code);
    }

    // In all three, ranks whose numbers differ first in bit k meet at distance 2^k: that is the tree. Which
    // of two partners adds to which does not matter, since a + b and b + a have the same bits.

    void exchange(int partner, std::span<const float> out, std::span<float> in) {
        check(MPI_Sendrecv(out.data(), static_cast<int>(out.size()), MPI_FLOAT, partner, 0, in.data(),
                           static_cast<int>(in.size()), MPI_FLOAT, partner, 0, comm_, MPI_STATUS_IGNORE),
              "MPI_Sendrecv");
    }

    // Recursive doubling: log2(size) messages of everything.
    void sum_small(std::span<float> inout) {
        const std::span<float> other(scratch_.data(), inout.size());
        for (int distance = 1; distance < size_; distance *= 2) {
            exchange(rank_ ^ distance, inout, other);
            add_to(inout.data(), other.data(), inout.size());
        }
    }

    // Recursive halving: of the part two partners share, each sums one half. Then the halves travel back the
    // same way.
    void sum_large(std::span<float> inout) {
        struct Step {
            int partner;
            std::span<float> kept, given;
        };
        std::vector<Step> steps;
        std::span<float> part = inout;
        for (int distance = 1; distance < size_; distance *= 2) {
            const std::span<float> low = part.first(part.size() / 2);
            const std::span<float> high = part.subspan(part.size() / 2);
            const bool keep_low = (rank_ & distance) == 0;
            const Step step{rank_ ^ distance, keep_low ? low : high, keep_low ? high : low};
            const std::span<float> other(scratch_.data(), step.kept.size());
            exchange(step.partner, step.given, other);
            add_to(step.kept.data(), other.data(), other.size());
            steps.push_back(step);
            part = step.kept;
        }
        for (auto step = steps.rbegin(); step != steps.rend(); ++step)
            exchange(step->partner, step->kept, step->given);
    }

    // Any number of ranks: up the tree to rank 0, then to all.
    void sum_any(std::span<float> inout) {
        const int count = static_cast<int>(inout.size());
        for (int distance = 1; distance < size_; distance *= 2) {
            if ((rank_ & distance) != 0) {
                check(MPI_Send(inout.data(), count, MPI_FLOAT, rank_ - distance, 0, comm_), "MPI_Send");
                break;
            }
            if (rank_ + distance >= size_) continue;
            check(MPI_Recv(scratch_.data(), count, MPI_FLOAT, rank_ + distance, 0, comm_, MPI_STATUS_IGNORE),
                  "MPI_Recv");
            add_to(inout.data(), scratch_.data(), inout.size());
        }
        check(MPI_Bcast(inout.data(), count, MPI_FLOAT, 0, comm_), "MPI_Bcast");
    }

    std::shared_ptr<Session> session_;
    MPI_Comm comm_;
    bool crowded_;
    int rank_ = 0;
    int size_ = 1;
    std::vector<float> scratch_;
};

// Who waits in shared memory may owe a partner the rest of a message: the library sends it when it is called.
std::unique_ptr<Communicator> make_ranks(std::shared_ptr<Session> session, MPI_Comm comm, bool crowded) {
    auto messages = std::make_unique<MpiCommunicator>(std::move(session), comm, crowded);
    return make_shared_sums(std::move(messages), crowded, [comm] {
        int arrived = 0;
        check(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, &arrived, MPI_STATUS_IGNORE), "MPI_Iprobe");
    });
}

}  // namespace

std::unique_ptr<Communicator> make_mpi(int* argc, char*** argv) {
    auto session = std::make_shared<Session>(argc, argv);
    const auto duplicate = [] {
        MPI_Comm ours = MPI_COMM_NULL;
        check(MPI_Comm_dup(MPI_COMM_WORLD, &ours), "MPI_Comm_dup");
        return ours;
    };
    MpiCommunicator all(session, duplicate(), false);
    const bool crowded = is_crowded(gather_values(all, this_machine()), all.rank());
    return make_ranks(session, duplicate(), crowded);
}

}  // namespace sluice
