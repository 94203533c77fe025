#include "kernels/cpu/parallel.hpp"

#include "kernels/cpu/team.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>

namespace sluice::kernels::cpu {
namespace {

// Elements a thread must have before it is worth waking: a parallel region costs a microsecond.
constexpr std::int64_t kWorkPerThread = 16384;

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

// A thread's neighbouring tasks, on a line of their own; others help when they have done theirs.
struct alignas(64) Share {
    Share(std::int64_t begin, std::int64_t finish) : next(begin), end(finish) {}
    // The next task; end or more: none is left. A look costs less than an exchange.
    std::int64_t take() {
        return next.load(std::memory_order_relaxed) < end ? next.fetch_add(1, std::memory_order_relaxed)
                                                          : end;
    }
    std::atomic<std::int64_t> next;
    const std::int64_t end;
};
constexpr int kMostShares = 256;

void run_in_order(std::int64_t count, Run run, const void* body) {
    for (std::int64_t i = 0; i < count; ++i) run(body, i, i + 1);
}

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
    const int useful = static_cast<int>(std::min<std::int64_t>(count, threads));
    if (useful <= 1) return run_in_order(count, run, body);
    FirstError error;
    std::atomic<std::int64_t> next = 0;
    region(useful, [&](int) {
        for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;)
            error.guard(run, body, i, i + 1);
    });
    error.rethrow();
}

void run_neighbours(std::int64_t count, int threads, Run run, const void* body) {
    const int parts = static_cast<int>(std::min<std::int64_t>({count, threads, kMostShares}));
    if (parts <= 1) return run_in_order(count, run, body);
    alignas(Share) std::byte memory[kMostShares * sizeof(Share)];  // only those of `parts` are touched
    auto* const shares = reinterpret_cast<Share*>(memory);
    for (int p = 0; p < parts; ++p) std::construct_at(shares + p, count * p / parts, count * (p + 1) / parts);
    FirstError error;
    region(parts, [&](int thread) {
        for (int p = 0; p < parts; ++p) {
            Share& from = shares[(thread + p) % parts];
            for (std::int64_t i; (i = from.take()) < from.end;) error.guard(run, body, i, i + 1);
        }
    });
    error.rethrow();
}

}  // namespace sluice::kernels::cpu
