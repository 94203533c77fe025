// Any bytes as the HDF5 file of a checkpoint. One that is accepted has its values inside the file, in places
// of their own, and all of its names lead to them.
#include "checkpoint/hdf5_index.hpp"
#include "fuzz.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

namespace sluice::fuzz {
namespace {

void check_dataset(const Hdf5Index& index, const Hdf5Index::Entry& entry, std::uint64_t size) {
    const auto& [name, dataset] = entry;
    promise(index.find(name) == &dataset, "{} is not found", name);
    std::uint64_t bytes = size_of(dataset.dtype);
    for (int axis = 0; axis < dataset.shape.rank(); ++axis) {
        const std::int64_t dim = dataset.shape[axis];
        promise(dim >= 0 && !__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(dim), &bytes),
                "a dimension of {}", dim);
    }
    promise(bytes == dataset.bytes, "{} {} in {} bytes", name, dataset.shape.text(), dataset.bytes);
    promise(dataset.offset <= size && bytes <= size - dataset.offset, "{}: bytes {} and {} more of {}", name,
            dataset.offset, bytes, size);
    const std::size_t end = name.rfind('/');
    promise(std::ranges::binary_search(index.names_in(name.substr(0, end)), name.substr(end + 1)),
            "{} is not in its group", name);
}

void check_index(const Hdf5Index& index, std::uint64_t size) {
    std::vector<const Hdf5Dataset*> places;
    for (const Hdf5Index::Entry& entry : index.datasets()) {
        check_dataset(index, entry, size);
        if (entry.second.bytes > 0) places.push_back(&entry.second);
    }
    std::ranges::sort(places, {}, &Hdf5Dataset::offset);
    for (std::size_t i = 1; i < places.size(); ++i)
        promise(places[i - 1]->offset + places[i - 1]->bytes <= places[i]->offset, "values overlap at {}",
                places[i]->offset);
}

// The input is a file's first bytes: as long as its superblock says, if that stands at the beginning.
std::uint64_t file_size(std::span<const std::uint8_t> data) {
    std::uint64_t stored = 0;
    if (data.size() >= 36) std::memcpy(&stored, &data[28], sizeof stored);
    return std::max<std::uint64_t>(stored, data.size());
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    const std::span input(data, size);
    const std::uint64_t file_size = fuzz::file_size(input);
    fuzz::accepts(ExitCode::Checkpoint, [&] {
        fuzz::check_index(Hdf5Index::read(std::as_bytes(input), file_size, "file.h5"), file_size);
    });
    return 0;
}
