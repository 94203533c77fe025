#include "checkpoint/pickle_values.hpp"

#include <fmt/format.h>

#include <utility>

namespace sluice {
namespace {

// Names of PickleValue's alternatives, in its order.
constexpr std::array<std::string_view, std::variant_size_v<PickleValue>> kKinds{
    "a mark",  "None",    "a bool",  "an integer", "a string",     "bytes",
    "a class", "a tuple", "a dtype", "an array",   "a dictionary", "a quantised weight"};

constexpr std::size_t kMostDims = 4;

}  // namespace

std::string_view kind_of(const PickleValue& value) { return kKinds[value.index()]; }

std::string quoted(std::string_view text) {
    constexpr std::size_t kShown = 60;
    return fmt::format("{:?}{}", text.substr(0, kShown), text.size() > kShown ? "..." : "");
}

const std::vector<PickleValue>& PickleObjects::items_of(const PickleValue& value, std::size_t count,
                                                        std::string_view what) const {
    const auto& items = as<const PickleTuple*>(value, what, reader_)->items;
    if (items.size() != count) reader_.refuse("{} has {} items; expected {}", what, items.size(), count);
    return items;
}

PickleValue PickleObjects::tuple(std::vector<PickleValue> items) {
    return &std::as_const(tuples_.emplace_back(PickleTuple{std::move(items)}));
}

PickleValue PickleObjects::call(const PickleValue& callee, const PickleValue& arguments) {
    const auto global = as<PickleGlobal>(callee, "what is called", reader_);
    if (global == PickleGlobal::Reconstruct) {
        check_reconstruct(arguments);
        return &arrays_.emplace_back();
    }
    if (global == PickleGlobal::DTypeClass) return &dtypes_.emplace_back(PickleDType{dtype_of(arguments)});
    reader_.refuse("calls a class that only names a type");
}

// numpy's _reconstruct(ndarray, (0,), b'b'): an empty array whose state follows.
void PickleObjects::check_reconstruct(const PickleValue& arguments) const {
    const auto& items = items_of(arguments, 3, "_reconstruct's arguments");
    const auto type = as<PickleGlobal>(items[0], "the array's class", reader_);
    const auto& shape = items_of(items[1], 1, "the empty array's shape");
    const auto code = reader_.text(as<ByteRange>(items[2], "the empty array's type", reader_));
    const auto size = as<std::int64_t>(shape[0], "the empty array's size", reader_);
    if (type != PickleGlobal::NdArray || size != 0 || code != "b")
        reader_.refuse("_reconstruct is called otherwise than with numpy.ndarray, (0,) and b'b'");
}

// numpy's dtype(type, align, copy).
DType PickleObjects::dtype_of(const PickleValue& arguments) const {
    const auto& items = items_of(arguments, 3, "dtype's arguments");
    (void)as<bool>(items[1], "dtype's align", reader_);
    (void)as<bool>(items[2], "dtype's copy", reader_);
    if (const auto* const type = std::get_if<PickleGlobal>(&items[0])) {
        if (*type == PickleGlobal::BFloat16) return DType::BF16;
        reader_.refuse("dtype of a class other than ml_dtypes.bfloat16");
    }
    const auto name = as<std::string_view>(items[0], "dtype's type", reader_);
    if (name == "f4") return DType::F32;
    if (name == "i1") return DType::I8;
    reader_.refuse(R"(elements of type {}; expected "f4", "i1" or ml_dtypes.bfloat16)", quoted(name));
}

PickleValue PickleObjects::make(const PickleValue& type, const PickleValue& arguments) {
    (void)items_of(arguments, 0, "the new object's arguments");
    if (as<PickleGlobal>(type, "the new object's class", reader_) != PickleGlobal::QuantizedWeight)
        reader_.refuse("a new object of a class other than QuantizedWeight8bit");
    return &weights_.emplace_back();
}

void PickleObjects::set_items(const PickleValue& dict, const std::vector<PickleValue>& items) {
    PickleDict& target = *as<PickleDict*>(dict, "what items are set in", reader_);
    if (items.size() % 2 != 0) reader_.refuse("{} keys and values, not in pairs", items.size());
    for (std::size_t i = 0; i < items.size(); i += 2) {
        const auto key = as<std::string_view>(items[i], "a key", reader_);
        if (key != "weight" && key != "scales")
            reader_.refuse("a quantised weight has 'weight' and 'scales', but no {}", quoted(key));
        const PickleArray*& slot = key == "weight" ? target.weight : target.scales;
        if (slot != nullptr) reader_.refuse("'{}' stands twice", key);
        slot = as<PickleArray*>(items[i + 1], key, reader_);
    }
}

void PickleObjects::set_state(const PickleValue& object, const PickleValue& state) {
    if (const auto* const dtype = std::get_if<PickleDType*>(&object)) return build(**dtype, state);
    if (const auto* const array = std::get_if<PickleArray*>(&object)) return build(**array, state);
    if (const auto* const weight = std::get_if<PickleWeight*>(&object)) return build(**weight, state);
    reader_.refuse("sets the state of {}, which has none", kind_of(object));
}

// dtype's state: (3, byte order, subdtype, names, fields, item size, alignment, flags). Item size and
// alignment are -1 for numpy's own types; the flags say how numpy handles elements, not what they are.
void PickleObjects::build(PickleDType& dtype, const PickleValue& state) const {
    if (dtype.built) reader_.refuse("a dtype's state is set twice");
    const auto& items = items_of(state, 8, "a dtype's state");
    const auto version = as<std::int64_t>(items[0], "a dtype's version", reader_);
    if (version != 3) reader_.refuse("a dtype's state of version {}; expected 3", version);
    const auto order = as<std::string_view>(items[1], "a dtype's byte order", reader_);
    if (order == ">") reader_.refuse("big-endian elements; expected little-endian ones");
    const std::string_view expected = dtype.type == DType::I8 ? "|" : "<";
    if (order != expected)
        reader_.refuse("byte order {} of {}; expected '{}'", quoted(order), name_of(dtype.type), expected);
    for (std::size_t i = 2; i < 5; ++i)
        (void)as<PickleNone>(items[i], "a dtype's subdtype, names or fields", reader_);
    const auto size = as<std::int64_t>(items[5], "a dtype's item size", reader_);
    if (size != -1 && size != static_cast<std::int64_t>(size_of(dtype.type)))
        reader_.refuse("{} with {} bytes an element", name_of(dtype.type), size);
    (void)as<std::int64_t>(items[6], "a dtype's alignment", reader_);
    (void)as<std::int64_t>(items[7], "a dtype's flags", reader_);
    dtype.built = true;
}

// An array's state: (1, shape, dtype, Fortran order, elements).
void PickleObjects::build(PickleArray& array, const PickleValue& state) const {
    if (array.state) reader_.refuse("an array's state is set twice");
    const auto& items = items_of(state, 5, "an array's state");
    const auto version = as<std::int64_t>(items[0], "an array's version", reader_);
    if (version != 1) reader_.refuse("an array's state of version {}; expected 1", version);
    const PickleDType& dtype = *as<PickleDType*>(items[2], "an array's type", reader_);
    if (!dtype.built) reader_.refuse("an array's dtype has no state yet");
    if (as<bool>(items[3], "an array's Fortran order", reader_))
        reader_.refuse("an array in Fortran (column-major) order; expected row-major, as in the release");
    const auto range = as<ByteRange>(items[4], "an array's content", reader_);
    PickledArray built{dtype.type, dims_of(items[1]), range.begin, range.end};
    check_size(built);
    array.state = std::move(built);
}

std::vector<std::int64_t> PickleObjects::dims_of(const PickleValue& shape) const {
    const auto& items = as<const PickleTuple*>(shape, "an array's shape", reader_)->items;
    if (items.empty() || items.size() > kMostDims)
        reader_.refuse("an array of {} dimensions; expected 1 to {}", items.size(), kMostDims);
    std::vector<std::int64_t> dims;
    for (const PickleValue& item : items) {
        dims.push_back(as<std::int64_t>(item, "a dimension", reader_));
        if (dims.back() < 1) reader_.refuse("a dimension of {}; expected at least 1", dims.back());
    }
    return dims;
}

void PickleObjects::check_size(const PickledArray& array) const {
    std::uint64_t bytes = size_of(array.dtype);
    for (const std::int64_t dim : array.dims) {
        if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dim), &bytes))
            reader_.refuse("shape {} has more bytes than 64 bits count", array.shape_text());
    }
    if (bytes != array.end - array.begin) {
        reader_.refuse("{} bytes stored, but {} {} needs {}", array.end - array.begin, name_of(array.dtype),
                       array.shape_text(), bytes);
    }
}

void PickleObjects::build(PickleWeight& weight, const PickleValue& state) const {
    if (weight.state) reader_.refuse("a quantised weight's state is set twice");
    const PickleDict& dict = *as<PickleDict*>(state, "a quantised weight's state", reader_);
    const PickledArray& values = member(dict.weight, "weight");
    const PickledArray& scales = member(dict.scales, "scales");
    check_scales(values, scales);
    weight.state = PickledTensor{values, scales};
}

const PickledArray& PickleObjects::member(const PickleArray* array, std::string_view name) const {
    if (array == nullptr) reader_.refuse("a quantised weight without '{}'", name);
    if (!array->state) reader_.refuse("'{}' is an array without content", name);
    return *array->state;
}

void PickleObjects::check_scales(const PickledArray& values, const PickledArray& scales) const {
    if (values.dtype != DType::I8)
        reader_.refuse("a quantised weight of {}; expected {}", name_of(values.dtype), name_of(DType::I8));
    if (scales.dtype == DType::I8) reader_.refuse("scales of {}; expected floats", name_of(scales.dtype));
    bool fits = scales.dims.size() == values.dims.size();
    for (std::size_t axis = 0; fits && axis < values.dims.size(); ++axis)
        fits = values.dims[axis] % scales.dims[axis] == 0;
    if (!fits) {
        reader_.refuse("scales {} do not divide the weight {} into equal blocks", scales.shape_text(),
                       values.shape_text());
    }
}

PickledTensor PickleObjects::tensor(const PickleValue& value) const {
    if (const auto* const weight = std::get_if<PickleWeight*>(&value)) {
        if (!(*weight)->state) reader_.refuse("a quantised weight without content");
        return *(*weight)->state;
    }
    const PickleArray& array = *as<PickleArray*>(value, "what was pickled", reader_);
    if (!array.state) reader_.refuse("an array without content");
    if (array.state->dtype == DType::I8) reader_.refuse("an array of {} without scales", name_of(DType::I8));
    return {*array.state, std::nullopt};
}

}  // namespace sluice
