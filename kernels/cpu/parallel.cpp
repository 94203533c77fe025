#include "kernels/cpu/parallel.hpp"

#include "kernels/cpu/team.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>

namespace sluice::kernels::cpu {
namespace {

// Elements a thread must have before it is worth waking: a parallel region costs a microsecond.
constexpr std::int64_t kWorkPerThread = 16384;

// Threads that share tasks at most.
constexpr int kMostParts = 512;

// An exception that left a parallel region would end the program: the first is kept until the region's end.
class FirstError {
public:
    // After an exception the rest of the work is passed over.
    void guard(Run run, const void* body, std::int64_t begin, std::int64_t end) noexcept {
        if (thrown_.load(std::memory_order_relaxed)) return;
        try {
            run(body, begin, end);
        } catch (...) {
            if (!thrown_.exchange(true)) first_ = std::current_exception();
        }
    }
    void rethrow() const {
        if (first_ != nullptr) std::rethrow_exception(first_);
    }

private:
    std::atomic<bool> thrown_ = false;
    std::exception_ptr first_;
};

template <class Body>
void region(int threads, const Body& body) {
    run_team(
        threads, [](const void* it, int thread) { (*static_cast<const Body*>(it))(thread); }, &body);
}

}  // namespace

void run_rows(std::int64_t rows, std::int64_t work_per_row, int threads, Run run, const void* body) {
    const std::int64_t useful = std::min(rows * work_per_row / kWorkPerThread, rows);
    const int parts = static_cast<int>(std::min<std::int64_t>(useful, threads));
    if (parts <= 1) return run(body, 0, rows);
    FirstError error;
    region(parts, [&](int part) { error.guard(run, body, rows * part / parts, rows * (part + 1) / parts); });
    error.rethrow();
}

void run_tasks(std::int64_t count, int threads, Run run, const void* body) {
    const int parts = static_cast<int>(std::min<std::int64_t>({count, threads, kMostParts}));
    if (parts <= 1) {
        for (std::int64_t i = 0; i < count; ++i) run(body, i, i + 1);
        return;
    }
    // A thread takes neighbouring tasks, for one may have prefetched for the next, and then what is left of
    // the others'.
    struct alignas(64) Share {
        std::atomic<std::int64_t> next;
        std::int64_t end;
    };
    std::array<Share, kMostParts> share;
    for (std::int64_t p = 0; p < parts; ++p) {
        share[static_cast<std::size_t>(p)].next.store(count * p / parts, std::memory_order_relaxed);
        share[static_cast<std::size_t>(p)].end = count * (p + 1) / parts;
    }
    FirstError error;
    region(parts, [&](int thread) {
        for (int p = 0; p < parts; ++p) {
            Share& from = share[static_cast<std::size_t>((thread + p) % parts)];
            for (std::int64_t i; (i = from.next.fetch_add(1, std::memory_order_relaxed)) < from.end;)
                error.guard(run, body, i, i + 1);
        }
    });
    error.rethrow();
}

}  // namespace sluice::kernels::cpu
