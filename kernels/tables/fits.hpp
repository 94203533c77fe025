// What an implementation asks of the machine, for the tables.
#pragma once

#include "kernels/kernel.hpp"

namespace sluice::kernels {

template <class Args>
bool anywhere(const Args&, const Machine&) {
    return true;
}
template <class Args>
bool with_avx2(const Args&, const Machine& machine) {
    return machine.avx2;
}
template <class Args>
bool with_avx512(const Args&, const Machine& machine) {
    return machine.avx512;
}
template <class Args>
bool with_cuda(const Args&, const Machine& machine) {
    return machine.cuda();
}

}  // namespace sluice::kernels
