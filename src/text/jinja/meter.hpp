// What the evaluation of a template may cost.
#pragma once

#include <cstdint>
#include <stdexcept>

namespace sluice::jinja {

// An operation that Python would refuse, or that this program does not know. The evaluator adds its place.
class EvaluationError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Counts work in bytes, before it is done: every text and list is paid for before it is made, and every step
// has a price. So a template can neither run for ever nor fill the memory.
class Meter {
public:
    static constexpr std::uint64_t kStep = 16;  // an expression or a statement
    static constexpr std::uint64_t kItem = 48;  // an item of a list

    explicit Meter(std::uint64_t bytes) : left_(bytes) {}

    void spend(std::uint64_t bytes) {
        if (bytes > left_)
            throw EvaluationError("the template does far more work than its conversation calls for");
        left_ -= bytes;
    }

    // `count` texts or lists of `bytes` each.
    void spend(std::uint64_t bytes, std::uint64_t count) {
        spend(bytes > 0 && count > left_ / bytes ? left_ + 1 : bytes * count);
    }

    // What std::string::find may cost at worst.
    void spend_search(std::uint64_t text, std::uint64_t part) { spend(text / 256, part); }

private:
    std::uint64_t left_;  // below 2^63
};

}  // namespace sluice::jinja
