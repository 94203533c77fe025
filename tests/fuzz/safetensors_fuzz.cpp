// Any bytes as a safetensors file. One that is accepted has its tensors side by side, from the header to the
// end.
#include "checkpoint/safetensors.hpp"
#include "fuzz.hpp"
#include "memory_file.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace sluice::fuzz {
namespace {

constexpr std::size_t kLengthBytes = 8;

void check_tensors(const SafetensorsFile& file, std::size_t size) {
    std::vector<SafetensorsEntry> order;
    for (const auto& [name, entry] : file.tensors()) order.push_back(entry);
    std::ranges::sort(order, {}, [](const SafetensorsEntry& e) { return std::pair(e.begin, e.end); });
    std::size_t at = order.empty() ? size : order.front().begin;
    promise(at > kLengthBytes, "a tensor begins inside the header's length");
    for (const SafetensorsEntry& entry : order) {
        promise(entry.begin == at && entry.end >= at, "bytes {} to {} after {}", entry.begin, entry.end, at);
        at = entry.end;
        std::size_t elements = 1;
        for (const std::int64_t dim : entry.dims) elements *= static_cast<std::size_t>(dim);
        const std::size_t bytes = entry.end - entry.begin;
        promise(entry.type ? bytes == elements * size_of(*entry.type)
                           : bytes % std::max<std::size_t>(elements, 1) == 0,
                "{} {} in {} bytes", entry.dtype, entry.shape_text(), bytes);
        std::byte first{};
        if (bytes > 0) file.file().read(entry.begin, {&first, 1});
    }
    promise(at == size, "{} bytes after the last tensor", size - at);
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    const fuzz::MemoryFile image(fuzz::text_of(data, size));
    fuzz::accepts(ExitCode::Checkpoint, [&] { fuzz::check_tensors(SafetensorsFile(image.path()), size); });
    return 0;
}

// Mostly keeps the header's length true, up to the last '}': few inputs would get further otherwise.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
    using sluice::fuzz::kLengthBytes;
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 8 == 0 || size < kLengthBytes) return size;
    const std::size_t brace = sluice::fuzz::text_of(data, size).rfind('}');
    if (brace == std::string_view::npos || brace < kLengthBytes) return size;
    const std::uint64_t length = brace + 1 - kLengthBytes;
    std::memcpy(data, &length, kLengthBytes);
    return size;
}
