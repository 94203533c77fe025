// The collectives of a warp.
#pragma once

namespace sluice::emulation {

template <class T>
struct Shuffle {
    T value;
    unsigned from;  // the lane whose value is wanted
    T got;
};

// A lane that is not of the meeting has no value to give.
template <class T>
void exchange_shuffle(const Lanes& lanes) {
    for (void* const lane : lanes) {
        if (lane == nullptr) continue;
        auto& mine = *static_cast<Shuffle<T>*>(lane);
        if (lanes[mine.from] == nullptr) fail_thread("a shuffle reads from a lane that its mask leaves out");
        mine.got = static_cast<const Shuffle<T>*>(lanes[mine.from])->value;
    }
}

template <class T>
T shuffle(const char* name, unsigned mask, T value, unsigned from) {
    Shuffle<T> mine{value, from, value};
    meet(name, mask, &mine, &exchange_shuffle<T>);
    return mine.got;
}

// `Combine` takes all values to one, which all lanes get; its first argument is that of the lowest lane.
template <class T, class Combine>
struct Vote {
    T value;
    static void exchange(const Lanes& lanes) {
        bool any = false;
        T all{};
        for (unsigned l = 0; l < lanes.size(); ++l) {
            if (lanes[l] == nullptr) continue;
            const T value = static_cast<const Vote*>(lanes[l])->value;
            all = any ? Combine{}(all, value) : value;
            any = true;
        }
        for (void* const lane : lanes) {
            if (lane != nullptr) static_cast<Vote*>(lane)->value = all;
        }
    }
};

template <class Combine, class T>
T vote(const char* name, unsigned mask, T value) {
    Vote<T, Combine> mine{value};
    meet(name, mask, &mine, &Vote<T, Combine>::exchange);
    return mine.value;
}

struct Largest {
    template <class T>
    T operator()(T a, T b) const {
        return std::max(a, b);
    }
};
struct Least {
    template <class T>
    T operator()(T a, T b) const {
        return std::min(a, b);
    }
};

}  // namespace sluice::emulation

template <class T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
    const unsigned lane = sluice::emulation::lane(), size = static_cast<unsigned>(width);
    const unsigned begin = lane / size * size;
    return sluice::emulation::shuffle("__shfl_sync", mask, value, begin + static_cast<unsigned>(from) % size);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int apart, int width = 32) {
    const unsigned lane = sluice::emulation::lane(), size = static_cast<unsigned>(width);
    const unsigned from = lane ^ static_cast<unsigned>(apart);
    return sluice::emulation::shuffle("__shfl_xor_sync", mask, value,
                                      from / size <= lane / size ? from : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    const unsigned lane = sluice::emulation::lane(), size = static_cast<unsigned>(width);
    return sluice::emulation::shuffle("__shfl_up_sync", mask, value, lane % size >= by ? lane - by : lane);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    const unsigned lane = sluice::emulation::lane(), size = static_cast<unsigned>(width);
    return sluice::emulation::shuffle("__shfl_down_sync", mask, value,
                                      lane % size + by < size ? lane + by : lane);
}

inline unsigned __ballot_sync(unsigned mask, int holds) {
    const unsigned mine = (holds != 0 ? 1U : 0U) << sluice::emulation::lane();
    return sluice::emulation::vote<std::bit_or<>>("__ballot_sync", mask, mine);
}
inline int __any_sync(unsigned mask, int holds) { return __ballot_sync(mask, holds) != 0; }
inline int __all_sync(unsigned mask, int holds) { return __ballot_sync(mask, holds) == mask; }
inline void __syncwarp(unsigned mask = 0xffffffffU) {
    sluice::emulation::vote<std::bit_or<>>("__syncwarp", mask, 0);
}

template <class T>
T __reduce_add_sync(unsigned mask, T value) {
    return sluice::emulation::vote<std::plus<>>("__reduce_add_sync", mask, value);
}
template <class T>
T __reduce_max_sync(unsigned mask, T value) {
    return sluice::emulation::vote<sluice::emulation::Largest>("__reduce_max_sync", mask, value);
}
template <class T>
T __reduce_min_sync(unsigned mask, T value) {
    return sluice::emulation::vote<sluice::emulation::Least>("__reduce_min_sync", mask, value);
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value) {
    return sluice::emulation::vote<std::bit_or<>>("__reduce_or_sync", mask, value);
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned value) {
    return sluice::emulation::vote<std::bit_and<>>("__reduce_and_sync", mask, value);
}
