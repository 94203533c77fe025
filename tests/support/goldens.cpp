#include "support/goldens.hpp"

#include "core/error.hpp"

#include <hdf5.h>

namespace sluice::test {
namespace {

template <class T>
hid_t memory_type();
template <>
hid_t memory_type<float>() {
    return H5T_NATIVE_FLOAT;
}
template <>
hid_t memory_type<std::int32_t>() {
    return H5T_NATIVE_INT32;
}

template <class T>
void read(hid_t file, const std::string& path, Recorded<T>& out) {
    if (H5Lexists(file, path.c_str(), H5P_DEFAULT) <= 0) return;
    const hid_t dataset = H5Dopen2(file, path.c_str(), H5P_DEFAULT);
    const hid_t space = H5Dget_space(dataset);
    std::vector<hsize_t> dims(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
    H5Sget_simple_extent_dims(space, dims.data(), nullptr);
    out.shape.assign(dims.begin(), dims.end());
    out.values.resize(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
    expect(H5Dread(dataset, memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.values.data()) >= 0,
           "cannot read {}", path);
    H5Sclose(space);
    H5Dclose(dataset);
}

}  // namespace

Goldens read_goldens(const std::string& model) {
    const std::string path = std::string(SLUICE_TEST_DATA) + "/goldens/" + model + "/goldens.h5";
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    expect(file >= 0, "cannot open {}", path);
    Goldens goldens;
    for (int i = 0;; ++i) {
        const std::string group = fmt::format("prompt_{:02}", i);
        if (H5Lexists(file, group.c_str(), H5P_DEFAULT) <= 0) break;
        GoldenPrompt prompt;
        prompt.name = group;
        read(file, group + "/ids", prompt.ids);
        read(file, group + "/last_logits", prompt.last_logits);
        read(file, group + "/top8_ids", prompt.top8_ids);
        read(file, group + "/top8_logits", prompt.top8_logits);
        read(file, group + "/token_nll", prompt.token_nll);
        read(file, group + "/hidden", prompt.hidden);
        read(file, group + "/greedy_ids", prompt.greedy_ids);
        read(file, group + "/greedy_margin", prompt.greedy_margin);
        read(file, group + "/router_ids", prompt.router_ids);
        read(file, group + "/router_weights", prompt.router_weights);
        read(file, group + "/router_gap", prompt.router_gap);
        goldens.prompts.push_back(std::move(prompt));
    }
    read(file, "ppl_public/ids", goldens.perplexity.ids);
    read(file, "ppl_public/token_nll", goldens.perplexity.token_nll);
    H5Fclose(file);
    return goldens;
}

}  // namespace sluice::test
