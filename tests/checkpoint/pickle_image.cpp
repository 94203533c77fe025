#include "checkpoint/pickle_image.hpp"

#include <cstring>

namespace sluice::test::pickled {
namespace {

template <class T>
std::string little_endian(T number) {
    std::string bytes(sizeof number, '\0');
    std::memcpy(bytes.data(), &number, sizeof number);
    return bytes;
}

}  // namespace

std::string text(std::string_view text) {
    return "\x8c" + little_endian(static_cast<std::uint8_t>(text.size())) + std::string(text);
}

std::string integer(std::int32_t number) { return "J" + little_endian(number); }

std::string bytes(std::string_view bytes) {
    return "B" + little_endian(static_cast<std::uint32_t>(bytes.size())) + std::string(bytes);
}

std::string tuple(const std::vector<std::string>& items) {
    std::string stream = "(";
    for (const std::string& item : items) stream += item;
    return stream + "t";
}

std::string shape(const std::vector<std::int32_t>& dims) {
    std::vector<std::string> items;
    items.reserve(dims.size());
    for (const std::int32_t dim : dims) items.push_back(integer(dim));
    return tuple(items);
}

std::string global(std::string_view module, std::string_view name) {
    return text(module) + text(name) + "\x93";
}

std::string bfloat16_class() { return global("ml_dtypes", "bfloat16"); }
std::string weight_class() { return global("__main__", "QuantizedWeight8bit"); }

DType f32() { return {}; }
DType i8() {
    DType dtype;
    dtype.type = text("i1");
    dtype.order = text("|");
    return dtype;
}
DType bf16() {
    DType dtype;
    dtype.type = bfloat16_class();
    dtype.size = integer(2);
    dtype.flags = integer(80);
    return dtype;
}

Array array(const DType& dtype, const std::vector<std::int32_t>& dims, std::string_view content) {
    Array array;
    array.shape = shape(dims);
    array.dtype = dtype.stream();
    array.content = bytes(content);
    return array;
}

Weight weight(const Array& values, const Array& scales) {
    Weight weight;
    weight.items = text("weight") + values.stream() + text("scales") + scales.stream();
    return weight;
}

std::string whole(std::string_view value) { return "\x80\x04" + std::string(value) + "."; }

}  // namespace sluice::test::pickled
