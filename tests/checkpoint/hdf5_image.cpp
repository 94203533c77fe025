#include "checkpoint/hdf5_image.hpp"

#include "checkpoint/hdf5_handle.hpp"

namespace sluice::test {
namespace {

void lay_out(const std::filesystem::path& path, const Hdf5Image& image) {
    const h5::Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
    H5Pset_obj_track_times(creation.get(), 0);
    H5Pset_userblock(creation.get(), image.user_block);
    H5Pset_file_space_strategy(creation.get(), H5F_FSPACE_STRATEGY_NONE, 0, 1);
    const h5::Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), H5P_DEFAULT), H5Fclose);
    h5::check(file.valid(), ExitCode::File, "cannot create " + path.string());
    h5::set_attribute(file.get(), "format", std::string("sluice-checkpoint"));
    h5::set_attribute(file.get(), "slice", -1);
    for (const auto& [name, text] : image.texts) h5::set_attribute(file.get(), name.c_str(), text);
    for (const DatasetImage& dataset : image.datasets) {
        const h5::Handle made = h5::create_dataset(file.get(), dataset.name, dataset.dtype, dataset.shape);
        h5::set_attribute(made.get(), "xxh3_64", std::string("0123456789abcdef"));
        for (const auto& [name, number] : dataset.numbers)
            h5::set_attribute(made.get(), name.c_str(), number);
    }
    if (image.also) image.also(file.get());
}

}  // namespace

void write_hdf5(const std::filesystem::path& path, const Hdf5Image& image) {
    const auto lock = h5::hdf5_lock();
    lay_out(path, image);
    const h5::Handle file = h5::open_to_fill(path);
    for (const DatasetImage& dataset : image.datasets) {
        const h5::Handle opened = h5::open_dataset(file.get(), dataset.name);
        const h5::Handle type(H5Dget_type(opened.get()), H5Tclose);
        const std::vector<char> zeros(static_cast<std::size_t>(dataset.shape.elements()) *
                                      size_of(dataset.dtype));
        if (!zeros.empty())
            h5::check(H5Dwrite(opened.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros.data()) >= 0,
                      ExitCode::File, "cannot write " + dataset.name);
    }
}

Hdf5Image small_hdf5() {
    Hdf5Image image;
    const std::map<std::string, int> grid{
        {"block_rows", 128}, {"block_cols", 64}, {"row_offset", 0}, {"col_offset", -7}};
    image.datasets = {{"/norm", DType::F32, {5}, {}},
                      {"/files/config.json", DType::U8, {3}, {}},
                      {"/layers/0/attention/o", DType::F8E4M3, {2, 3}, {}},
                      {"/layers/0/attention/o.scale", DType::F32, {1, 2}, grid},
                      {"/layers/0/up", DType::BF16, {4, 2}, {}},
                      {"/layers/10/experts/3/up", DType::I8, {2, 2, 2, 2}, {}},
                      {"/layers/10/ids", DType::I32, {7}, {}},
                      {"/layers/10/nothing", DType::BF16, {0, 4}, {}},
                      {"/layers/10/one", DType::F32, {}, {}}};
    image.texts = {{"tool", "a test"}, {"source", std::string(300, 's')}, {"empty", ""}};
    return image;
}

}  // namespace sluice::test
