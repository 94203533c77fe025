// What a pickled tensor's stream builds: a closed set of values, none of which can do anything.
#pragma once

#include "checkpoint/grok_pickle.hpp"
#include "checkpoint/pickle_reader.hpp"

#include <array>
#include <deque>
#include <variant>

namespace sluice {

// The classes and functions that a stream may name.
enum class PickleGlobal : std::uint8_t { Reconstruct, NdArray, DTypeClass, BFloat16, QuantizedWeight };

struct PickleMark {};
struct PickleNone {};
struct PickleTuple;

// Objects come empty and get their state later, once.
struct PickleDType {
    DType type = DType::F32;
    bool built = false;
};
struct PickleArray {
    std::optional<PickledArray> state;
};
struct PickleDict {
    const PickleArray* weight = nullptr;
    const PickleArray* scales = nullptr;
};
struct PickleWeight {
    std::optional<PickledTensor> state;
};

// Tuples and objects are pointed to, however often the stream refers to them: a copy costs nothing, and
// destruction goes no deeper than one level.
using PickleValue =
    std::variant<PickleMark, PickleNone, bool, std::int64_t, std::string_view, ByteRange, PickleGlobal,
                 const PickleTuple*, PickleDType*, PickleArray*, PickleDict*, PickleWeight*>;

struct PickleTuple {
    std::vector<PickleValue> items;
};

// "a mark", "None", "a tuple"
std::string_view kind_of(const PickleValue& value);

// A name in the file, quoted, safe to print and not too long.
std::string quoted(std::string_view text);

// `value` as a T; refused otherwise, with `what` it stands for.
template <class T>
T as(const PickleValue& value, std::string_view what, const PickleReader& reader) {
    if (!std::holds_alternative<T>(value))
        reader.refuse("{} is {}; expected {}", what, kind_of(value), kind_of(PickleValue(T{})));
    return std::get<T>(value);
}

// The objects of one stream, and what each operation on them requires. Refuses as the reader does.
class PickleObjects {
public:
    explicit PickleObjects(const PickleReader& reader) : reader_(reader) {}

    PickleValue tuple(std::vector<PickleValue> items);
    PickleValue dict() { return &dicts_.emplace_back(); }
    // callee(*arguments): an empty array or a dtype.
    PickleValue call(const PickleValue& callee, const PickleValue& arguments);
    // type.__new__(type, *arguments): an empty quantised weight.
    PickleValue make(const PickleValue& type, const PickleValue& arguments);
    // Keys and values in turn.
    void set_items(const PickleValue& dict, const std::vector<PickleValue>& items);
    void set_state(const PickleValue& object, const PickleValue& state);

    // The tensor that `value` is.
    PickledTensor tensor(const PickleValue& value) const;

private:
    // The items of `value`, which must be a tuple of `count`.
    const std::vector<PickleValue>& items_of(const PickleValue& value, std::size_t count,
                                             std::string_view what) const;
    void check_reconstruct(const PickleValue& arguments) const;
    DType dtype_of(const PickleValue& arguments) const;
    void build(PickleDType& dtype, const PickleValue& state) const;
    void build(PickleArray& array, const PickleValue& state) const;
    void build(PickleWeight& weight, const PickleValue& state) const;
    std::vector<std::int64_t> dims_of(const PickleValue& shape) const;
    void check_size(const PickledArray& array) const;
    const PickledArray& member(const PickleArray* array, std::string_view name) const;
    void check_scales(const PickledArray& values, const PickledArray& scales) const;

    const PickleReader& reader_;  // for refusals
    // Where values point to; a deque's elements stay in place.
    std::deque<PickleTuple> tuples_;
    std::deque<PickleDType> dtypes_;
    std::deque<PickleArray> arrays_;
    std::deque<PickleDict> dicts_;
    std::deque<PickleWeight> weights_;
};

}  // namespace sluice
