// Pickle streams put together by the tests' own code, whole or damaged: without memo and frames.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::test {

// Each returns the opcodes that leave the named value on the stack.
namespace pickled {

inline const std::string kNone = "N";
inline const std::string kTrue = "\x88";
inline const std::string kFalse = "\x89";

std::string text(std::string_view text);
std::string integer(std::int32_t number);
std::string bytes(std::string_view bytes);
std::string tuple(const std::vector<std::string>& items);
std::string shape(const std::vector<std::int32_t>& dims);
std::string global(std::string_view module, std::string_view name);
std::string bfloat16_class();
std::string weight_class();

// As numpy and the release pickle them; a test replaces the part that it is about.
struct DType {
    std::string type = text("f4");
    std::string align = kFalse, copy = kTrue;
    std::string version = integer(3), order = text("<"), fields = kNone;
    std::string size = integer(-1), flags = integer(0);
    std::string arguments() const { return tuple({type, align, copy}); }
    std::string state() const {
        return tuple({version, order, kNone, kNone, fields, size, integer(-1), flags});
    }
    std::string object() const { return global("numpy", "dtype") + arguments() + "R"; }  // without state
    std::string stream() const { return object() + state() + "b"; }
};
DType f32();
DType i8();
DType bf16();

struct Array {
    std::string function = global("numpy.core.multiarray", "_reconstruct");
    std::string type = global("numpy", "ndarray"), size = tuple({integer(0)}), code = bytes("b");
    std::string version = integer(1), shape, dtype, fortran = kFalse, content;
    std::string object() const { return function + tuple({type, size, code}) + "R"; }  // without state
    std::string state() const { return tuple({version, shape, dtype, fortran, content}); }
    std::string stream() const { return object() + state() + "b"; }
};
Array array(const DType& dtype, const std::vector<std::int32_t>& dims, std::string_view content);

struct Weight {
    std::string type = weight_class(), arguments = ")";
    std::string items;  // keys and values in turn
    std::string state() const { return "}(" + items + "u"; }
    std::string object() const { return type + arguments + "\x81"; }  // without state
    std::string stream() const { return object() + state() + "b"; }
};
Weight weight(const Array& values, const Array& scales);

// The whole stream of a value: protocol 4 before it, the end behind.
std::string whole(std::string_view value);

}  // namespace pickled
}  // namespace sluice::test
