#include "checkpoint/read_ahead.hpp"

#include "core/error.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <new>
#include <utility>

namespace sluice {
namespace {

// Places in memory that are taken in one order and given back in nearly the same.
class Places {
public:
    explicit Places(std::uint64_t capacity) : capacity_(capacity) {}

    bool fits(std::uint64_t bytes) const { return place(bytes) <= capacity_; }

    std::uint64_t take(std::uint64_t bytes) {
        const std::uint64_t begin = place(bytes);
        taken_.push_back({begin, begin + bytes, false});
        return begin;
    }

    void give_back(std::uint64_t begin) {
        std::ranges::find(taken_, begin, &Taken::begin)->free = true;
        while (!taken_.empty() && taken_.front().free) taken_.pop_front();
    }

private:
    struct Taken {
        std::uint64_t begin, end;
        bool free;
    };

    // Where the next one goes; beyond the capacity: nowhere.
    std::uint64_t place(std::uint64_t bytes) const {
        const auto within = [&](std::uint64_t begin, std::uint64_t end) {
            return begin <= end && bytes <= end - begin;
        };
        if (taken_.empty()) return within(0, capacity_) ? 0 : capacity_ + 1;
        const std::uint64_t first = taken_.front().begin, last = taken_.back().end;
        if (last <= first) return within(last, first) ? last : capacity_ + 1;
        if (within(last, capacity_)) return last;
        return within(0, first) ? 0 : capacity_ + 1;
    }

    std::uint64_t capacity_;
    std::deque<Taken> taken_;  // in the order of taking
};

class Mapped {
public:
    explicit Mapped(std::uint64_t bytes) : bytes_(std::max<std::uint64_t>(bytes, 1)) {
        void* data = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (data == MAP_FAILED) throw std::bad_alloc();
        madvise(data, bytes_, MADV_HUGEPAGE);  // advice: its failure costs only speed
        data_ = static_cast<std::byte*>(data);
    }
    Mapped(const Mapped&) = delete;
    Mapped& operator=(const Mapped&) = delete;
    ~Mapped() { munmap(data_, bytes_); }
    std::byte* data() const { return data_; }

private:
    std::uint64_t bytes_;
    std::byte* data_ = nullptr;
};

}  // namespace

// What threads, user and the parts that it still holds share.
struct ReadAhead::Work {
    struct State {
        std::byte* memory = nullptr;
        bool done = false;
        std::exception_ptr error;
    };

    Work(std::uint64_t bytes, std::size_t count) : memory(bytes), places(bytes), states(count) {}

    void give_back(const std::byte* part) {
        {
            const std::lock_guard guard(lock);
            places.give_back(static_cast<std::uint64_t>(part - memory.data()));
        }
        room.notify_all();
    }

    Mapped memory;
    std::mutex lock;
    std::condition_variable room, ready;
    Places places;
    std::vector<State> states;  // of the reads
    std::size_t begun = 0;
    bool stop = false;
};

namespace {

std::uint64_t room_of(const StoredPart& part) {
    constexpr std::uint64_t kLeast = 64;  // a place of its own even for a part of no extent
    return std::max(memory_bytes(part), kLeast);
}

}  // namespace

ReadAhead::ReadAhead(SluiceCheckpoint& checkpoint, std::vector<Read> reads, int threads, std::uint64_t memory)
    : checkpoint_(checkpoint),
      reads_(std::move(reads)),
      work_(std::make_shared<Work>(memory, reads_.size())) {
    const auto count = static_cast<std::size_t>(std::max(threads, 1));
    threads_.reserve(count);
    while (threads_.size() < count) {
        try {
            threads_.emplace_back([this] { read_parts(); });
        } catch (const std::exception&) {
            if (threads_.empty()) throw;
            return;  // one reader suffices
        }
    }
}

void ReadAhead::read_parts() {
    Work& work = *work_;
    std::unique_lock lock(work.lock);
    for (;;) {
        const auto may_begin = [&] {
            return work.stop || work.begun == reads_.size() ||
                   work.places.fits(room_of(reads_[work.begun].part));
        };
        work.room.wait(lock, may_begin);
        if (work.stop || work.begun == reads_.size()) return;
        const Read& one = reads_[work.begun];
        Work::State& state = work.states[work.begun++];
        state.memory = work.memory.data() + work.places.take(room_of(one.part));
        work.ready.notify_one();
        lock.unlock();
        std::exception_ptr error;
        try {
            checkpoint_.fill(one.tensor, one.part, state.memory);
        } catch (...) {
            error = std::current_exception();
        }
        lock.lock();
        state.done = true;
        state.error = error;
        if (error != nullptr) work.stop = true;  // what follows will not be asked for
        work.ready.notify_one();
        work.room.notify_all();
    }
}

ReadAhead::~ReadAhead() {
    {
        const std::lock_guard guard(work_->lock);
        work_->stop = true;
    }
    work_->room.notify_all();
}

TensorSlice ReadAhead::next(const std::string& name) {
    using Clock = std::chrono::steady_clock;
    expect(taken_ < reads_.size() && reads_[taken_].tensor.name == name,
           "{} is not the next tensor to be read", name);
    const Read& one = reads_[taken_];
    Work& work = *work_;
    std::unique_lock lock(work.lock);
    const Work::State& state = work.states[taken_];
    if (!state.done) {
        const Clock::time_point began = Clock::now();
        // Only parts that are held could make room.
        const auto stuck = [&] { return work.begun == taken_ && !work.places.fits(room_of(one.part)); };
        work.ready.wait(lock, [&] { return state.done || stuck(); });
        waited_ += std::chrono::duration<double>(Clock::now() - began).count();
        expect(state.done, "{} does not fit beside the parts that are held", name);
    }
    if (state.error != nullptr) std::rethrow_exception(state.error);
    ++taken_;
    bytes_taken_ += one.part.bytes();
    const auto give_back = [held = work_](const std::byte* part) { held->give_back(part); };
    std::byte* const memory = state.memory;
    lock.unlock();
    return slice_in(std::shared_ptr<const std::byte>(memory, give_back), one.part);
}

}  // namespace sluice
