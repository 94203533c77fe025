// Threads take turns and blocks follow one another, so plain arithmetic is atomic.
#pragma once

template <class T>
T atomicAdd(T* at, std::type_identity_t<T> value) {
    const T old = *at;
    *at = old + value;
    return old;
}
template <class T>
T atomicMax(T* at, std::type_identity_t<T> value) {
    const T old = *at;
    *at = std::max(old, value);
    return old;
}
template <class T>
T atomicMin(T* at, std::type_identity_t<T> value) {
    const T old = *at;
    *at = std::min(old, value);
    return old;
}
template <class T>
T atomicOr(T* at, std::type_identity_t<T> value) {
    const T old = *at;
    *at = old | value;
    return old;
}
template <class T>
T atomicExch(T* at, std::type_identity_t<T> value) {
    return std::exchange(*at, value);
}
template <class T>
T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
    const T old = *at;
    if (old == expected) *at = value;
    return old;
}
