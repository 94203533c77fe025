// One file of Grok-1's release: a numpy array, or a QuantizedWeight8bit of two, as Python pickled it
// (protocol 4).
#pragma once

#include "core/dtype.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sluice {

// An array inside a pickle file: where its elements stand, row-major and little-endian, aligned to nothing.
struct PickledArray {
    DType dtype = DType::F32;        // F32, BF16 or I8
    std::vector<std::int64_t> dims;  // 1 to 4, each at least 1
    std::size_t begin = 0, end = 0;  // in the file
    std::string shape_text() const;  // "[128, 256]"
};

// F32 or BF16 values alone; or I8 values with F32 or BF16 scales of the same rank, of which each dimension
// divides that of the values: scale [i, j] belongs to a block of values.
struct PickledTensor {
    PickledArray values;
    std::optional<PickledArray> scales;
};

// Reads the opcodes alone: nothing is executed, no array's element is touched or copied, and memory stays
// small whatever the file says. Accepts only the opcodes and the classes that such a tensor needs, and
// requires the stream to end where the file does. ExitCode::Checkpoint naming `where`, the byte offset and
// the reason. The stream: Lib/pickletools.py of CPython; the arrays' and types' states: ndarray.__reduce__
// and dtype.__reduce__ of numpy.
PickledTensor parse_pickled_tensor(std::span<const std::byte> file, const std::string& where);

}  // namespace sluice
